import { test } from 'tap';
import { BatchKeys } from '../../../core/application/hub/batch/batch-keys.ts';
import { aKey, aTaskId } from '../../product/contracts/fixtures.ts';

test('a key counts for its owner alone, and the last record of it counts', (t) => {
  const keys = new BatchKeys(false);
  const [one, other] = ['tok-1', 'tok-2'].map((owner, n) => aKey({ owner, key: 'k', taskIds: [aTaskId(n)] })) as [
    ReturnType<typeof aKey>,
    ReturnType<typeof aKey>,
  ];
  keys.load(one);
  t.equal(keys.get(one), one);
  t.equal(keys.get(other), undefined);
  keys.add(other);
  t.equal(keys.get(other), other);
  t.equal(keys.get(one), one);
  const later = { ...one, taskIds: [aTaskId(9)] };
  keys.load(later);
  t.equal(keys.get(one), later);
  t.strictSame(keys.added, [other], 'only what is new is saved');
  t.equal(keys.get({ owner: 'tok-1', key: 'k2' }), undefined);
  t.end();
});
