_base_ = [
    '../_base_/sandbox/streets_domains.py', '../_base_/acquisition/d2ada.py',
    '../_base_/schedule/domain_rounds_long.py']
