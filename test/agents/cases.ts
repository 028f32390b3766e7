/** What is tried with every program. A case that returns has passed, with a note where there is something to say. */
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { TaskDetail } from '../../apps/client/types.ts';
import { doneText } from './fake-model/script.ts';
import type { ModelCall } from './fake-model/fake-model.ts';
import type { AgentProgram } from './programs.ts';
import type { Room } from './room.ts';

export interface AgentCase {
  readonly name: string;
  readonly about: string;
  run(room: Room): Promise<string | undefined>;
  readonly isKeyWrong?: boolean;
  /** Options of the runner for this case. */
  options?(program: AgentProgram): Readonly<Record<string, unknown>>;
  /** Why the program cannot do it; null: it can. */
  unsupported?(program: AgentProgram): string | null;
}

/** A tool that works until a file `go` is there. */
const WAITING_TOOL = '[[shell: touch at-work; while [ ! -e go ]; do sleep 0.2; done; echo made by the tool > made.txt; cat made.txt]]';
/** Calls after which a program that tries again by itself has shown that it does. */
const TRIES_SEEN = 3;

const noSessions = ({ sessions }: AgentProgram): string | null => (sessions === undefined ? 'its runs have no session' : null);

export const CASES: readonly AgentCase[] = [
  {
    name: 'tool',
    about: 'a tool is called, and the result and its usage come to the hub',
    async run(room) {
      const id = await room.submit('[[shell: echo made by the tool > made.txt; cat made.txt]]');
      const task = await room.completed(id);
      assert.equal(readFileSync(join(room.cwd, 'made.txt'), 'utf8'), 'made by the tool\n');
      saidInTurn(room, task, 1);
      assert.equal(task.tokens_used, tokensOf(room.program, room.calls()), 'the usage is that of its calls');
      await room.nothingLeft(id);
      return undefined;
    },
  },
  {
    name: '401',
    about: 'a wrong key: no attempt is spent, and the agent is paused with the reason',
    isKeyWrong: true,
    run: (room) => handedBack(room, '[[shell: true]]', 'auth'),
  },
  {
    name: '429',
    about: 'too many requests: handed back unspent; or the program tries on by itself until it is cancelled',
    run: (room) => (triesOn(room, 429) ? triesUntilCancelled(room, 429) : handedBack(room, '[[status: 429]]', 'rate_limited')),
  },
  {
    name: '500',
    about: 'a broken service: a failed attempt; or the program tries on by itself until it is cancelled',
    async run(room) {
      if (triesOn(room, 500)) return triesUntilCancelled(room, 500);
      const id = await room.submit('[[status: 500]]');
      const { details } = await room.event(id, 'failed', 'released');
      assert.equal(details?.['cause'], 'model_unavailable', JSON.stringify(details));
      await room.nothingLeft(id);
      return undefined;
    },
  },
  {
    name: 'hang',
    about: 'a model that never answers: stopped after idleMs without a word',
    options: ({ idleMs }) => ({ idleMs }),
    async run(room) {
      const id = await room.submit('[[hang]]');
      const { details } = await room.event(id, 'failed', 'released');
      assert.deepEqual([details?.['kind'], details?.['cause']], ['silent', 'unresponsive'], JSON.stringify(details));
      await room.nothingLeft(id);
      assert.ok(
        room.calls().some(({ status }) => status === null),
        'it was the model that it waited for',
      );
      return undefined;
    },
  },
  {
    name: 'cancel',
    about: 'cancelled while its tool works: the whole tree is gone, and that is confirmed',
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
    about: 'kill -9 of the sidecar: the next one takes the run up and gets its result; or, where it cannot, stops what is left',
    run: (room) =>
      overSidecars(room, async () => {
        await room.startSidecar();
        writeFileSync(join(room.cwd, 'go'), '');
      }),
  },
  {
    name: 'missed',
    about: 'the same, but the program has ended before the next sidecar starts: its result is found all the same',
    run: (room) =>
      overSidecars(room, async (id) => {
        writeFileSync(join(room.cwd, 'go'), '');
        await room.nothingLeft(id);
        await room.startSidecar();
      }),
  },
  {
    name: 'resume',
    about: 'the program is killed in the middle of its tool: the next attempt goes on with its session',
    unsupported: (program) => noSessions(program) ?? program.losesFreshSessions ?? null,
    async run(room) {
      const { task, callsBefore } = await killedInTheMiddle(room, () => Promise.resolve());
      saidInTurn(room, task, 2);
      return usedOverAttempts(room, task, callsBefore);
    },
  },
  {
    name: 'forgotten',
    about: 'the same, but the program has lost the session: begins afresh without a further attempt',
    unsupported: noSessions,
    async run(room) {
      const { task, callsBefore } = await killedInTheMiddle(room, () => room.forgetSessions());
      saidInTurn(room, task, 1);
      return usedOverAttempts(room, task, callsBefore);
    },
  },
];

const triesOn = ({ program }: Room, status: number): boolean => program.triesOnAfter.includes(status);

/** The agent can do nothing: the task is handed back unspent, and the agent gets nothing until that is over. */
async function handedBack(room: Room, description: string, cause: string): Promise<string | undefined> {
  const id = await room.submit(description);
  const { event, details } = await room.event(id, 'failed', 'released');
  const { tellsWhetherItWorked } = room.program;
  assert.deepEqual([event, details?.['cause']], [tellsWhetherItWorked ? 'released' : 'failed', cause], JSON.stringify(details));
  assert.equal(await room.pausedCause(), cause);
  if (tellsWhetherItWorked) {
    assert.equal((await room.task(id)).retry_count, 0);
    await room.cancel(id);
  }
  await room.nothingLeft(id);
  return tellsWhetherItWorked ? undefined : 'spends an attempt: it does not tell whether a tool had run';
}

/** The program tries again by itself for longer than anybody waits: it is at it until it is cancelled. */
async function triesUntilCancelled(room: Room, status: number): Promise<string> {
  const { tellsRetries } = room.program;
  const id = await room.submit(`[[status: ${String(status)}]]`);
  await room.called(status, TRIES_SEEN);
  if (tellsRetries) await room.event(id, 'progress');
  const { status: stands, history } = await room.task(id);
  assert.equal(stands, 'assigned');
  const isTold = history.some(({ event, details }) => event === 'progress' && /429|500|retry/.test(String(details?.['message'])));
  assert.equal(isTold, tellsRetries, 'whether the hub was told that it tries again');
  await room.cancel(id);
  const { details } = await room.event(id, 'stop_confirmed');
  assert.equal(details?.['outcome'], 'killed');
  await room.nothingLeft(id);
  return `tries on by itself, ${tellsRetries ? 'and says so' : 'without a word'}: ended by a cancel`;
}

/** The sidecar is killed while the tool works; `meanwhile` lets the tool end and starts the next sidecar. */
async function overSidecars(room: Room, meanwhile: (id: string) => Promise<void>): Promise<string | undefined> {
  const id = await room.submit(WAITING_TOOL);
  await room.file('at-work');
  await room.killSidecar();
  await meanwhile(id);
  if (room.program.notAdoptable !== undefined) return lostWithItsSidecar(room, id, room.program.notAdoptable);
  const task = await room.completed(id);
  assert.match(room.log(), /taking up a run where it is/);
  assert.deepEqual([task.generation, task.retry_count], [1, 0]);
  saidInTurn(room, task, 1);
  assert.equal(task.tokens_used, tokensOf(room.program, room.calls()), 'the usage is that of its calls');
  await room.nothingLeft(id);
  return undefined;
}

async function lostWithItsSidecar(room: Room, id: string, why: string): Promise<string> {
  const { details } = await room.event(id, 'completed', 'failed', 'released');
  assert.equal(details?.['kind'], 'lost', JSON.stringify(details));
  await room.nothingLeft(id);
  return `not taken up: ${why}; lost, and nothing is left of it`;
}

interface KilledOnce {
  readonly task: TaskDetail;
  /** Of the attempt that was killed. */
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

/** Nothing is counted twice; of the attempt that was killed counts what its program had told by then. */
function usedOverAttempts({ program, calls }: Room, task: TaskDetail, callsBefore: readonly ModelCall[]): string | undefined {
  const used = task.tokens_used;
  if (program.usageOf === 'nothing') {
    assert.equal(used, null);
    return 'it tells no usage';
  }
  const all = tokensOf(program, calls()) ?? 0;
  const later = tokensOf(program, calls().slice(callsBefore.length)) ?? 0;
  assert.ok(
    used !== null && used >= later && used <= all,
    `${String(used)} tokens, of ${String(later)} and ${String(all)} with those before`,
  );
  if (program.tellsUsageEarly) assert.ok(used > later, 'what was told before the end of the program is counted');
  return used === later ? 'it had told no usage before it was killed' : undefined;
}

/** Tokens that the hub should know of; null where the program tells none. */
function tokensOf({ usageOf }: AgentProgram, calls: readonly ModelCall[]): number | null {
  if (usageOf === 'nothing') return null;
  return calls.filter(({ isAside }) => usageOf === 'all' || !isAside).reduce((sum, { tokens }) => sum + tokens, 0);
}

/** The result is the model's last word, said in this turn of the user: the second where a session was gone on with. */
function saidInTurn({ program }: Room, task: TaskDetail, turn: number): void {
  const { output } = task.result as { readonly output: { readonly text: string } };
  // A program without sessions may tell its model the task more than once.
  if (program.sessions !== undefined) assert.ok(output.text.startsWith(doneText(turn, '')), `its last word is "${output.text}"`);
  assert.match(output.text, /made by the tool/);
}
