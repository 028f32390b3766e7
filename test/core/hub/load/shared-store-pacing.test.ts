/** On a store that other hubs use too, commands that arrived during a batch wait a while for others, and share the next batch with them. */
import t, { type Test } from 'tap';
import { memoryStorage } from '../../../../adapters/storage-memory/memory-storage.ts';
import { SHARED_STORE_PACING } from '../../../../core/application/hub/queue/pacing.ts';
import { virtualClock } from '../../../product/twins/clock-virtual/virtual-clock.ts';
import { hubRig, settle } from '../hub-rig.ts';
import { watchUnits } from '../watched-units.ts';

const TOOK_MS = 40;
const PAUSE_MS = TOOK_MS * SHARED_STORE_PACING.factor;

/** A hub, and the number of tasks that each batch saves. A commit takes `tookMs`. */
async function slowHub(t: Test, { shared, tookMs = TOOK_MS }: { readonly shared: boolean; readonly tookMs?: number }) {
  const clock = virtualClock();
  let isSlow = false;
  const onStep = async (step: string): Promise<void> => {
    if (isSlow && step === 'commit') await new Promise<void>((resolve) => void clock.after(tookMs, resolve));
  };
  const storage = memoryStorage({ clock, shared, onStep });
  const rig = await hubRig({ clock, storage });
  t.teardown(async () => {
    isSlow = false;
    await clock.walk(tookMs, () => settle(clock));
    await rig.stop();
  });
  const saved: number[] = [];
  watchUnits(storage, (unit) => ({
    save: (changes, isLast) => {
      if (changes.inserted.length > 0) saved.push(changes.inserted.length);
      return unit.save(changes, isLast);
    },
  }));
  await settle(clock);
  isSlow = true;
  const pass = async (ms: number): Promise<void> => {
    clock.advance(ms);
    await settle(clock);
  };
  const submit = async (): Promise<void> => {
    void rig.submit();
    await settle(clock);
  };
  return { rig, saved, submit, pass };
}

t.test(
  'commands that arrived during a batch wait for a quarter of the time that it took, and share a batch with those that follow',
  async (t) => {
    const { saved, submit, pass } = await slowHub(t, { shared: true });
    await submit();
    t.strictSame(saved, [1], 'the first batch begins at once');
    await submit();
    await pass(TOOK_MS);
    await pass(PAUSE_MS - 1);
    t.strictSame(saved, [1], 'the first has ended, and the second waits');
    await submit();
    await pass(1);
    t.strictSame(saved, [1, 2]);
    await pass(TOOK_MS);
    await submit();
    t.strictSame(saved, [1, 2, 1], 'nothing had arrived meanwhile, so this one does not wait');
  },
);

t.test('the pause is bounded, however long a batch took', async (t) => {
  const tookMs = 2_000;
  const { saved, submit, pass } = await slowHub(t, { shared: true, tookMs });
  await submit();
  await submit();
  await pass(tookMs);
  await pass(SHARED_STORE_PACING.maxMs);
  t.strictSame(saved, [1, 1]);
});

t.test('a hub that has the store to itself does not wait', async (t) => {
  const { saved, submit, pass } = await slowHub(t, { shared: false });
  await submit();
  await submit();
  await pass(TOOK_MS);
  t.strictSame(saved, [1, 1]);
});

t.test('a hub that stops does not wait', async (t) => {
  const { rig, saved, submit, pass } = await slowHub(t, { shared: true });
  await submit();
  await submit();
  await pass(TOOK_MS);
  const flushed = rig.queue.flush();
  await settle(rig.clock);
  t.strictSame(saved, [1, 1]);
  await pass(TOOK_MS);
  await flushed;
});
