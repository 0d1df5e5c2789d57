# A street of PandaSet in the layout of SemanticKITTI, 24 scans and 6 held out. DENSE_AL_REAL_DATA is
# the folder that holds pandaset02_lidar.
_base_ = [
    '../_base_/sandbox/town.py', '../_base_/acquisition/clusters_random.py',
    '../_base_/oracle/ground_truth.py']
sandbox = None
root = '{{$DENSE_AL_REAL_DATA:data}}/pandaset02_lidar'
data = dict(root=root, label_map=root + '/pandaset.yaml')
train_dataloader = dict(dataset=data)
val_dataloader = dict(batch_size=1, dataset=data)
test_dataloader = val_dataloader
budget = dict(per_round=1, unit='percent')
rounds = dict(
    count=5, iterations=200, start='previous', metric='mIoU',
    later=dict(optim_wrapper=dict(optimizer=dict(lr=4e-3)), train_dataloader=dict(batch_size=8)))
