/** What every `HubMetrics` must do. */
import type { TaskEvent } from '../../../core/domain/task/event.ts';
import type { HubMetrics, HubReading } from '../../../core/ports/hub-metrics.ts';
import { inSuite, type TestRunner } from './contract-case.ts';
import { anEvent } from './fixtures.ts';

/** Different values that a client might bring into each label. */
const HOSTILE = 5_000;

/** A reading of a hub that has refused nothing. */
export const READING: HubReading = {
  store: {
    statuses: { scheduled: 0, blocked: 0, queued: 3, assigned: 1, completed: 0, cancelled: 0, dead_letter: 0 },
    queuedByPriority: { urgent: 2, high: 0, normal: 1, low: 0 },
    oldestReadyMs: { urgent: 1_500, high: 0, normal: 0, low: 0 },
  },
  load: {
    sockets: { identified: 1, unidentified: 0, waiting: 0 },
    agents: { idle: 1, working: 0, stopping: 0, draining: 0, paused: 0 },
    slots: { taken: 1, all: 4 },
    commandsWaiting: 0,
  },
  refused: { frames: {}, sockets: {}, requests: {} },
  loopDelayMs: 12,
  certificateExpiresInMs: null,
  version: '1.2.3',
};

/**
 * Adds the suite; `name` appears in the titles. `lineOf`: how the adapter writes a count of tasks that were
 * dead-lettered for `retries_spent`.
 */
export const hubMetricsContract = (
  name: string,
  { fresh, deadLettered }: { fresh(): HubMetrics; deadLettered(count: number): string },
  runner: TestRunner,
): void => {
  inSuite(`HubMetrics contract, ${name}`, runner, (test) => {
    const committed = (metrics: HubMetrics, ...events: readonly Partial<TaskEvent>[]): void =>
      metrics.committed({ commands: 1, tookMs: 1, events: events.map((event, index) => ({ ...anEvent(event), id: index + 1 })) });

    test('counts commits, including those between two scrapes', async (t) => {
      const metrics = fresh();
      const dead = { event: 'dead_lettered', details: { reason: 'retries_spent' } } as const;
      t.ok((await metrics.expose(READING)).text.includes(deadLettered(0)), 'there from the start');
      committed(metrics, dead, dead);
      t.ok((await metrics.expose(READING)).text.includes(deadLettered(2)));
      committed(metrics, dead);
      t.ok((await metrics.expose(READING)).text.includes(deadLettered(3)));
    });

    test('holds no more for a million different texts than for one', async (t) => {
      const metrics = fresh();
      const text = async (n: number): Promise<string> => {
        const many = Object.fromEntries(Array.from({ length: n }, (_, index) => [`reason ${index}`, 1]));
        return (await metrics.expose({ ...READING, refused: { frames: many, sockets: many, requests: many } })).text;
      };
      for (let n = 0; n < HOSTILE; n += 1)
        committed(
          metrics,
          { event: 'dead_lettered', details: { reason: `reason ${n}` } },
          { event: 'lost', details: { reason: `reason ${n}` } },
          { event: 'failed', details: { kind: n % 2 === 0 ? { n } : `kind ${n}` } },
          { event: 'reclaimed', details: null },
        );
      const before = (await text(HOSTILE)).length;
      t.ok((await text(HOSTILE * 20)).length < before + 1_000, 'a few digits more at most');
      t.ok(before < 60_000, `${before} characters`);
    });

    test('reports everything else while the store cannot be read, and no stale store figures', async (t) => {
      const metrics = fresh();
      const whole = (await metrics.expose(READING)).text.split('\n').length;
      const without = (await metrics.expose({ ...READING, store: null })).text.split('\n').length;
      t.ok(without < whole && without > whole / 2, `${without} lines of ${whole}`);
    });
  });
};
