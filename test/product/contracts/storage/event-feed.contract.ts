/** What every `EventFeed` must do. Each MUST of core/ports/event-feed.ts is a test here. */
import { agentHistoryId, type StoredEvent } from '../../../../core/domain/task/event.ts';
import { matchesFilter } from '../../../../core/ports/event-feed.ts';
import { inSuite, type TestRunner } from '../contract-case.ts';
import { aTaskId, anAgentId, anEvent, changes } from '../fixtures.ts';
import { commit, openedIn, type StorageSubject } from './storage-room.ts';

export function eventFeedCases(name: string, subject: StorageSubject, runner: TestRunner): void {
  inSuite(`EventFeed contract, ${name}`, runner, (test) => {
    test('returns events above an id, lowest first, up to a limit', async (t) => {
      const storage = await openedIn(t, subject);
      t.strictSame((await storage.events.after(0, {}, 10)).events, []);
      const stored = await commit(storage, changes({ events: [1, 2, 3, 4, 5].map((seq) => anEvent({ seq, details: { seq } })) }));
      t.equal(stored[0]?.id, 1, 'the first of all is 1');
      t.strictSame((await storage.events.after(0, {}, 10)).events, stored);
      t.strictSame((await storage.events.after(0, {}, 2)).events, stored.slice(0, 2));
      t.strictSame((await storage.events.after(stored[1]?.id ?? 0, {}, 2)).events, stored.slice(2, 4));
      t.strictSame((await storage.events.after(stored[4]?.id ?? 0, {}, 10)).events, []);
      t.strictSame((await storage.events.after(Number.MAX_SAFE_INTEGER, {}, 10)).events, []);
    });

    test('returns single events, however a commit groups them and wherever a page begins', async (t) => {
      const storage = await openedIn(t, subject);
      const [a1, a2] = [anAgentId('a1'), anAgentId('a2')];
      const one = Array.from({ length: 20 }, (_, n) =>
        anEvent({
          seq: n + 1,
          event: n % 3 === 0 ? 'progress' : 'woken',
          agentId: n % 2 === 0 ? a1 : a2,
          details: n % 5 === 0 ? { n } : null,
        }),
      );
      const other = [1, 2, 3].map((seq) =>
        anEvent({ taskId: aTaskId(2), seq, event: 'accepted', details: { message: 'a2', of: 'woken' } }),
      );
      const stored = await commit(storage, changes({ events: [...one, ...other] }));
      for (const filter of [{}, { taskId: aTaskId(1) }, { agentId: a2 }, { event: 'woken' }, { event: 'woken', agentId: a2 }] as const)
        for (const limit of [1, 2, 7, 100])
          for (const from of [0, 4, 9, 19]) {
            const afterId = stored[from]?.id ?? 0;
            const found: StoredEvent[] = [];
            for (let at = afterId; ;) {
              const page = await storage.events.after(at, filter, limit);
              if (page.events.length > limit) t.fail(`${page.events.length} of ${limit}`);
              found.push(...page.events);
              if (page.untilId === at) break;
              at = page.untilId;
            }
            const wanted = stored.filter((event) => event.id > afterId && matchesFilter(filter, event));
            t.strictSame(found, wanted, `${JSON.stringify(filter)}, ${limit} at once after ${afterId}`);
          }
    });

    test('filters, alone and together', async (t) => {
      const storage = await openedIn(t, subject);
      const [a1, a2] = [anAgentId('a1'), anAgentId('a2')];
      const stored = await commit(
        storage,
        changes({
          events: [
            anEvent({ taskId: aTaskId(1), seq: 1 }),
            anEvent({ taskId: aTaskId(1), seq: 2, event: 'assigned', agentId: a1 }),
            anEvent({ taskId: aTaskId(2), seq: 1 }),
            anEvent({ taskId: aTaskId(2), seq: 2, event: 'assigned', agentId: a2 }),
            anEvent({ taskId: aTaskId(1), seq: 3, event: 'completed', agentId: a1 }),
            anEvent({ taskId: agentHistoryId(a1), seq: 1, event: 'agent_paused', agentId: a1, generation: null }),
          ],
        }),
      );
      const places = (events: readonly StoredEvent[]) => events.map((event) => stored.findIndex(({ id }) => id === event.id));
      const cases = [
        [{ taskId: aTaskId(1) }, [0, 1, 4]],
        [{ agentId: a1 }, [1, 4, 5]],
        [{ about: 'agents' }, [5]],
        [{ about: 'tasks' }, [0, 1, 2, 3, 4]],
        [{ about: 'tasks', agentId: a1 }, [1, 4]],
        [{ about: 'agents', event: 'assigned' }, []],
        [{ event: 'assigned' }, [1, 3]],
        [{ taskId: aTaskId(1), agentId: a1, event: 'completed' }, [4]],
        [{ taskId: aTaskId(2), agentId: a1 }, []],
        [{ taskId: aTaskId(3) }, []],
      ] as const;
      for (const [filter, wanted] of cases) {
        t.strictSame(places((await storage.events.after(0, filter, 10)).events), wanted, JSON.stringify(filter));
        t.strictSame(
          places((await storage.events.after(0, filter, 1)).events),
          wanted.slice(0, 1),
          `the first of ${JSON.stringify(filter)}`,
        );
        t.strictSame(places((await storage.events.after(stored[1]?.id ?? 0, filter, 10)).events), wanted.filter((place) => place > 1)); // prettier-ignore
      }
    });

    test('reports how far it has read, so that filtered-out events are read only once', async (t) => {
      const storage = await openedIn(t, subject);
      const MANY = 25_000;
      const others = Array.from({ length: MANY }, (_, n) => anEvent({ seq: n + 1, agentId: anAgentId('a1') }));
      const stored = await commit(storage, changes({ events: [...others, anEvent({ seq: MANY + 1, agentId: anAgentId('a2') })] }));
      const wanted = stored.at(-1);
      for (const filter of [{ agentId: anAgentId('a2') }, { taskId: aTaskId(1), agentId: anAgentId('a2') }]) {
        const found: StoredEvent[] = [];
        let looks = 0;
        for (let [from, until] = [-1, 0]; until > from; looks += 1) {
          from = until;
          const page = await storage.events.after(from, filter, 10);
          found.push(...page.events);
          until = page.untilId;
        }
        t.strictSame(found, [wanted], JSON.stringify(filter));
        t.ok(looks <= 3, `${looks} looks`);
      }
      t.strictSame((await storage.events.after(0, { event: 'completed', taskId: aTaskId(2) }, 10)).events, []);
      const first = await storage.events.after(0, { agentId: anAgentId('a1') }, 10);
      t.strictSame([first.events.length, first.untilId], [10, stored[9]?.id], 'a full page ends at its last');
      t.match(await storage.events.after(wanted?.id ?? 0, { event: 'submitted' }, 10), { events: [], untilId: wanted?.id });
    });

    test('returns the highest id', async (t) => {
      const storage = await openedIn(t, subject);
      t.strictSame(await storage.events.marks(), { lastId: 0, removedId: 0 });
      await commit(storage, changes({ events: [anEvent(), anEvent({ seq: 2 })] }));
      const stored = await commit(storage, changes({ events: [anEvent({ seq: 3 })] }));
      t.strictSame(await storage.events.marks(), { lastId: stored[0]?.id, removedId: 0 });
    });

    test('a page ends at its byte limit, with at least one event', async (t) => {
      const storage = await openedIn(t, subject);
      const KIB = 1_024;
      const large = Array.from({ length: 8 }, (_, n) => anEvent({ seq: n + 1, details: { text: 'é'.repeat(KIB) } }));
      const stored = await commit(storage, changes({ events: large }));
      const idsOf = async (afterId: number, bytesMax: number, filter = {}) => {
        const page = await storage.events.after(afterId, filter, 100, bytesMax);
        return [page.events.map(({ id }) => id), page.untilId];
      };
      const ids = stored.map(({ id }) => id);
      t.strictSame(await idsOf(0, 1), [ids.slice(0, 1), ids[0]], 'one, even with the smallest limit');
      t.strictSame(await idsOf(0, 6 * KIB), [ids.slice(0, 3), ids[2]], 'bytes, not characters, up to 6 KiB');
      t.strictSame(await idsOf(0, 6 * KIB, { event: 'submitted' }), [ids.slice(0, 3), ids[2]], 'events left out do not count as seen');
      t.strictSame(await idsOf(ids[2] ?? 0, 1_024 * KIB), [ids.slice(3), ids[7]]);
    });

    test('R21 J6: a reader that continues during commits skips and repeats no event', async (t) => {
      const storage = await openedIn(t, subject);
      const COMMITS = 25;
      const commits = Array.from({ length: COMMITS }, (_, n) =>
        commit(storage, changes({ events: [1, 2, 3].map((seq) => anEvent({ taskId: aTaskId(n), seq })) })),
      );
      const read: StoredEvent[] = [];
      const follow = async (): Promise<void> => {
        while (read.length < COMMITS * 3) read.push(...(await storage.events.after(read.at(-1)?.id ?? 0, {}, 7)).events);
      };
      await Promise.all([follow(), ...commits]);
      t.strictSame(read, (await storage.events.after(0, {}, 1_000)).events);
      t.equal(read.length, COMMITS * 3);
    });

    test('shows no event of a running or failed transaction', async (t) => {
      const storage = await openedIn(t, subject);
      const failed = storage.tasks.transact('failed', async (unit) => {
        await unit.save(changes({ events: [anEvent()] }));
        t.strictSame((await storage.events.after(0, {}, 10)).events, []);
        t.strictSame(await storage.events.marks(), { lastId: 0, removedId: 0 });
        throw new Error('no');
      });
      await t.rejects(failed);
      t.strictSame((await storage.events.after(0, {}, 10)).events, []);
    });
  });
}
