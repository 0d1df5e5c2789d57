"""Images of folders and data sets, and their names in files of proposals."""

import json

import numpy as np
import pytest
from PIL import Image

from dense_al.proposals import list_images
from dense_al.proposals.listing import check_keys_differ


def picture(path, height=20, width=30):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.zeros((height, width, 3), np.uint8)).save(path)
    return path


def coco(path, images):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({'images': images}))
    return path


def test_a_folder_of_images(tmp_path):
    for name in ('b.png', 'a.JPG', 'c.jpeg'):
        picture(tmp_path / name)
    (tmp_path / 'notes.txt').write_text('x')
    found = list_images(tmp_path)
    assert list(found) == [''] and [i.path.name for i in found['']] == ['a.JPG', 'b.png', 'c.jpeg']
    assert found[''][0].key == f'{tmp_path.name}/a.JPG' and found[''][0].size() == (20, 30)


def test_a_folder_of_folders(tmp_path):
    for split in ('train', 'val'):
        picture(tmp_path / split / 'a.png')
    (tmp_path / 'empty').mkdir()
    found = list_images(tmp_path)
    assert {k: [i.key for i in v] for k, v in found.items()} == {
        'train': ['train/a.png'],
        'val': ['val/a.png'],
    }


@pytest.mark.parametrize('place', ['train2014', 'images/train2014'])
def test_a_coco_file(tmp_path, place):
    images = [dict(id=9, file_name='b.jpg', height=5, width=6), dict(id=2, file_name='a.jpg')]
    path = coco(tmp_path / 'annotations' / 'instances_train2014.json', images)
    with pytest.raises(FileNotFoundError, match='but got neither. Name their folder'):
        list_images(path)
    picture(tmp_path / place / 'a.jpg')
    (found,) = list_images(path).values()
    assert [(i.key, i.indexes) for i in found] == [
        ('train2014/a.jpg', (2,)),
        ('train2014/b.jpg', (9,)),
    ]
    assert [i.size() for i in found] == [(20, 30), (5, 6)]
    (found,) = list_images(path, folder=tmp_path / 'else').values()
    assert found[0].path == tmp_path / 'else' / 'a.jpg'


def voc(root, **sets):
    folder = root / 'ImageSets' / 'Main'
    folder.mkdir(parents=True)
    for name, lines in sets.items():
        (folder / f'{name}.txt').write_text('\n'.join(lines) + '\n')


def test_a_voc_folder(tmp_path):
    voc(tmp_path, trainval=['000012', '000005  1', ''], test=['000001'], car_val=['000005  1'])
    found = list_images(tmp_path)
    assert list(found) == ['trainval', 'test']
    assert [i.key for i in found['trainval']] == ['JPEGImages/000012.jpg', 'JPEGImages/000005.jpg']
    assert found['trainval'][0].indexes == ('000012', 12)
    assert list(list_images(tmp_path, sets=['car_val'])) == ['car_val']
    with pytest.raises(FileNotFoundError, match='Did you mean `trainval`'):
        list_images(tmp_path, sets=['trianval'])


def test_numbers_of_voc_2012(tmp_path):
    voc(tmp_path, trainval=['2008_000002'], test=['2008_000001'])
    found = list_images(tmp_path)
    assert found['trainval'][0].indexes == ('2008_000002', 2008000002)
    assert found['test'][0].indexes == ('2008_000001', 2008000001, 1)


def test_what_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError, match='no such folder'):
        list_images(tmp_path / 'nowhere')
    with pytest.raises(FileNotFoundError, match='Expected a COCO file'):
        list_images(tmp_path / 'nowhere.json')
    with pytest.raises(ValueError, match='Expected images in .* or in its folders'):
        list_images(tmp_path)
    with pytest.raises(ValueError, match='with the list `images`'):
        list_images(coco(tmp_path / 'x.json', None))
    voc(tmp_path / 'voc', minival=['1'])
    with pytest.raises(
        ValueError, match=r"Expected one of the image sets .* but got \['minival'\]"
    ):
        list_images(tmp_path / 'voc')
    voc(tmp_path / 'none', trainval=[''])
    with pytest.raises(ValueError, match='Expected images in trainval, but got none'):
        list_images(tmp_path / 'none')


def test_images_mmdet_cannot_tell_apart(tmp_path):
    images = [dict(id=i, file_name=f'{side}/x/a.jpg') for i, side in enumerate('lr')]
    path = coco(tmp_path / 'x.json', images)
    with pytest.raises(ValueError, match=r'which mmdet both looks up as x/a\.jpg'):
        list_images(path, folder=tmp_path)
    check_keys_differ(list_images(coco(path, images[:1]), folder=tmp_path)['x'], 'x')
