/**
 * A run from its start to its end, with everything that may happen in between: tools, a silent model, a cancel, kills
 * of the sidecar and of the program.
 */
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { TaskDetail } from '../../apps/client/types.ts';
import type { AgentProgram } from './real-program.ts';
import { outputOf, QUICK_TOOL, saidInTurn, stoppedAsSilent, usedAsCounted, usedOverAttempts, type AgentCase } from './case-kit.ts';
import type { ModelCall } from './fake-model/fake-model.ts';
import type { Room } from './room.ts';

/** A tool that works until a file `go` exists. */
const WAITING_TOOL = '[[shell: touch at-work; while [ ! -e go ]; do sleep 0.2; done; echo made by the tool > made.txt; cat made.txt]]';

const noSessions = ({ sessions }: AgentProgram): string | null => (sessions === undefined ? 'its runs have no session' : null);

export const RUN_CASES: readonly AgentCase[] = [
  {
    name: 'tool',
    about: 'a tool is called, and the result and its usage arrive at the hub',
    async run(room) {
      const id = await room.submit(`[[shell: ${QUICK_TOOL}]]`);
      const task = await room.completed(id);
      assert.equal(readFileSync(join(room.cwd, 'made.txt'), 'utf8'), 'made by the tool\n');
      saidInTurn(room, task, 1);
      usedAsCounted(room, task);
      await room.nothingLeft(id);
      return undefined;
    },
  },
  {
    name: 'hang',
    about: 'a model that never answers: stopped after idleMs without output',
    options: ({ idleMs }) => ({ idleMs }),
    async run(room) {
      await stoppedAsSilent(room);
      assert.ok(
        room.calls().some(({ status }) => status === null),
        'it was waiting for the model',
      );
      return undefined;
    },
  },
  {
    name: 'cancel',
    about: 'cancelled while its tool runs: the whole process tree is gone, and that is confirmed',
    async run(room) {
      const id = await room.submit(WAITING_TOOL);
      await room.file('at-work');
      await room.cancel(id);
      const { details } = await room.event(id, 'stop_confirmed');
      assert.deepEqual([details?.['outcome'], details?.['survivors']], ['killed', undefined]);
      assert.equal((await room.task(id)).status, 'cancelled');
      await room.nothingLeft(id);
      return undefined;
    },
  },
  {
    name: 'adopt',
    about: 'kill -9 of the sidecar: the next one adopts the run and gets its result, or stops what is left of it',
    run: (room) =>
      overSidecars(room, async () => {
        await room.startSidecar();
        writeFileSync(join(room.cwd, 'go'), '');
      }),
  },
  {
    name: 'missed',
    about: 'the same, but the program ends before the next sidecar starts: its result is still found',
    run: (room) =>
      overSidecars(room, async (id) => {
        writeFileSync(join(room.cwd, 'go'), '');
        await room.nothingLeft(id);
        await room.startSidecar();
      }),
  },
  {
    name: 'stopped',
    about: 'the sidecar is stopped: the next one adopts the run, or the task is handed back unspent and completes',
    async run(room) {
      const id = await room.submit(WAITING_TOOL);
      await room.file('at-work');
      await room.stopSidecar();
      writeFileSync(join(room.cwd, 'go'), '');
      await room.startSidecar();
      const task = await room.ended(id);
      assert.deepEqual([task.status, task.retry_count], ['completed', 0], String(task.last_error));
      assert.match(outputOf(task).text, /made by the tool/);
      await room.nothingLeft(id);
      const { notAdoptable } = room.program;
      const released = task.history.filter(({ event }) => event === 'released').map(({ details }) => details?.['cause']);
      assert.deepEqual(released, notAdoptable === undefined ? [] : ['sidecar_stopped']);
      return notAdoptable === undefined ? undefined : `handed back: ${notAdoptable}`;
    },
  },
  {
    name: 'resume',
    about: 'the program is killed while its tool runs: the next attempt continues its session',
    unsupported: (program) => noSessions(program) ?? program.losesFreshSessions ?? null,
    async run(room) {
      const { task, callsBefore } = await killedInTheMiddle(room, () => Promise.resolve());
      saidInTurn(room, task, 2);
      return usedOverAttempts(room, task, callsBefore);
    },
  },
  {
    name: 'forgotten',
    about: 'the same, but the program has lost the session: it starts a new one without another attempt',
    unsupported: noSessions,
    async run(room) {
      const { task, callsBefore } = await killedInTheMiddle(room, () => room.forgetSessions());
      saidInTurn(room, task, 1);
      return usedOverAttempts(room, task, callsBefore);
    },
  },
];

/** The sidecar is killed while the tool works; `meanwhile` lets the tool end and starts the next sidecar. */
async function overSidecars(room: Room, meanwhile: (id: string) => Promise<void>): Promise<string | undefined> {
  const id = await room.submit(WAITING_TOOL);
  await room.file('at-work');
  await room.killSidecar();
  await meanwhile(id);
  if (room.program.notAdoptable !== undefined) return lostWithItsSidecar(room, id, room.program.notAdoptable);
  const task = await room.completed(id);
  assert.match(room.log(), /attaching to a run/);
  assert.deepEqual([task.generation, task.retry_count], [1, 0]);
  saidInTurn(room, task, 1);
  usedAsCounted(room, task);
  await room.nothingLeft(id);
  return undefined;
}

async function lostWithItsSidecar(room: Room, id: string, why: string): Promise<string> {
  const { details } = await room.event(id, 'completed', 'failed', 'released');
  assert.equal(details?.['kind'], 'lost', JSON.stringify(details));
  await room.nothingLeft(id);
  return `not adopted: ${why}; lost, and nothing is left of it`;
}

interface KilledOnce {
  readonly task: TaskDetail;
  /** Of the killed attempt. */
  readonly callsBefore: readonly ModelCall[];
}

async function killedInTheMiddle(room: Room, meanwhile: () => Promise<void>): Promise<KilledOnce> {
  const id = await room.submit(WAITING_TOOL, { max_retries: 1 });
  await room.file('at-work');
  const callsBefore = room.calls();
  room.killAgent(id);
  await meanwhile();
  writeFileSync(join(room.cwd, 'go'), '');
  const task = await room.completed(id);
  assert.equal(task.retry_count, 1);
  await room.nothingLeft(id);
  return { task, callsBefore };
}
