_base_ = [
    '../_base_/sandbox/streets_domains.py', '../_base_/acquisition/superpixel_random.py',
    '../_base_/schedule/domain_rounds_long.py']
