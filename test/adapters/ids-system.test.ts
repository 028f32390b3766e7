import t from 'tap';
import { systemClock } from '../../adapters/clock-system/system-clock.ts';
import { virtualClock } from '../product/twins/clock-virtual/virtual-clock.ts';
import { systemDigest } from '../../adapters/ids-system/system-digest.ts';
import { systemIds } from '../../adapters/ids-system/system-ids.ts';
import { idsContract } from '../product/contracts/ids.contract.ts';

idsContract('system', { fresh: () => systemIds({ clock: systemClock() }) }, t);
idsContract('system, while the clock stands still', { fresh: () => systemIds({ clock: virtualClock() }) }, t);

t.test('task ids begin with the wall time and stay in order when it goes backwards', async (t) => {
  const clock = virtualClock({ wallMs: 0x0123_4567_89ab });
  const ids = systemIds({ clock });
  const made = [ids.task(), ids.task()];
  t.match(made[0], /^task-0123456789ab0000/);
  t.match(made[1], /^task-0123456789ab0001/);
  clock.jumpWall(-3_600_000);
  made.push(ids.task());
  t.match(made[2], /^task-0123456789ab0002/);
  clock.jumpWall(7_200_000);
  made.push(ids.task());
  t.match(made[3], new RegExp(`^task-${(0x0123_4567_89ab + 3_600_000).toString(16).padStart(12, '0')}0000`));
  t.same(made, [...made].sort());
});

t.test('ids of two hubs in the same millisecond do not collide', async (t) => {
  const clock = virtualClock();
  const hubs = [systemIds({ clock }), systemIds({ clock })];
  const made = hubs.flatMap((ids) => Array.from({ length: 10_000 }, () => ids.task()));
  t.equal(new Set(made).size, made.length);
});

t.test('digests are SHA-256 of UTF-8, as published', async (t) => {
  const { sha256 } = systemDigest();
  // FIPS 180-2, examples B.1 and the empty text.
  t.equal(sha256('abc'), 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad');
  t.equal(sha256(''), 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855');
  t.equal(sha256('é'), '4a99557e4033c3539de2eb65472017cad5f9557f7a0625a09f1c3f6e2ba69c4c');
});

t.test('keyed digests are HMAC-SHA-256 of UTF-8 under the bytes of the key, as published', async (t) => {
  const { hmac } = systemDigest();
  // RFC 4231, test cases 1 and 2.
  t.equal(hmac('0b'.repeat(20), 'Hi There'), 'b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7');
  t.equal(
    hmac(Buffer.from('Jefe').toString('hex'), 'what do ya want for nothing?'),
    '5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843',
  );
});
