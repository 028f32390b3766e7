/** What the cases share: what a case is, and checks of what becomes of a task. */
import assert from 'node:assert/strict';
import type { TaskDetail } from '../../apps/client/types.ts';
import { CALL_USAGE } from './fake-model/model-api.ts';
import { doneText } from './fake-model/script.ts';
import type { ModelCall } from './fake-model/fake-model.ts';
import type { AgentPlace, AgentProgram, WakeOptions } from './real-program.ts';
import type { Room } from './room.ts';

export interface AgentCase {
  readonly name: string;
  readonly about: string;
  /** A case that returns has passed, with a note if there is something to say. */
  run(room: Room): Promise<string | undefined>;
  readonly isKeyWrong?: boolean;
  /** Prepares what the case needs in its place, before the sidecar starts. Returns options of the runner for it, over `own`. */
  options?(program: AgentProgram, own: WakeOptions, place: AgentPlace): Promise<WakeOptions> | WakeOptions;
  /** Why the program cannot do it; null: it can. */
  unsupported?(program: AgentProgram): string | null;
}

/** A tool that ends at once. */
export const QUICK_TOOL = 'echo made by the tool > made.txt; cat made.txt';
/** Calls after which a program that retries by itself has shown that it does. */
const TRIES_SEEN = 3;

/** The agent cannot do anything: the task is handed back unspent, and the agent gets nothing until that has ended. */
export async function handedBack(room: Room, description: string, cause: string): Promise<undefined> {
  const id = await room.submit(description);
  const { event, details } = await room.event(id, 'failed', 'released', 'completed');
  assert.deepEqual([event, details?.['cause']], ['released', cause], JSON.stringify(details));
  assert.equal(details?.['after_work'] ?? false, !room.program.tellsWhetherItWorked, 'whether a tool may have run');
  assert.equal(await room.pausedCause(), cause);
  assert.equal((await room.task(id)).retry_count, 0);
  await room.cancel(id);
  await room.nothingLeft(id);
  return undefined;
}

/** Retrying would end the same: one attempt, whatever the task allows, and the agent continues with others. */
export async function givenUp(room: Room, description: string, cause: string): Promise<undefined> {
  const id = await room.submit(description, { max_retries: 2 });
  assert.equal(await failuresOf(room, id, cause), 1, 'number of attempts');
  assert.equal(await room.pausedCause(), null);
  await room.nothingLeft(id);
  return undefined;
}

/** It may end better another time: an attempt is used up, and another follows. */
export async function triedAgain(room: Room, description: string, cause: string): Promise<undefined> {
  const id = await room.submit(description, { max_retries: 1 });
  assert.equal(await failuresOf(room, id, cause), 2, 'number of attempts');
  await room.nothingLeft(id);
  return undefined;
}

/** Waits until it is a dead letter, and returns how often it has failed: each time for this cause, and it was never handed back. */
async function failuresOf(room: Room, id: string, cause: string): Promise<number> {
  await room.event(id, 'dead_lettered', 'completed', 'released');
  const ends = (await room.task(id)).history.filter(({ event }) => ['failed', 'completed', 'released'].includes(event));
  for (const { event, details } of ends) assert.deepEqual([event, details?.['cause']], ['failed', cause], JSON.stringify(details));
  return ends.length;
}

/** The program retries by itself for longer than is acceptable: it does so until it is cancelled. */
export async function triesUntilCancelled(room: Room, description: string): Promise<string> {
  const { tellsRetries } = room.program;
  const id = await room.submit(description);
  await room.calledInVain(TRIES_SEEN);
  if (tellsRetries) await room.event(id, 'progress');
  const { status: stands, history } = await room.task(id);
  assert.equal(stands, 'assigned');
  const isTold = history.some(({ event, details }) => event === 'progress' && /attempt \d|retry/i.test(String(details?.['message'])));
  assert.equal(isTold, tellsRetries, 'whether the hub was notified of the retry');
  await room.cancel(id);
  const { details } = await room.event(id, 'stop_confirmed');
  assert.equal(details?.['outcome'], 'killed');
  await room.nothingLeft(id);
  return `retries by itself, ${tellsRetries ? 'and says so' : 'without saying so'}: ended by a cancel`;
}

/** A model that never answers: its run is stopped after `idleMs` without output. */
export async function stoppedAsSilent(room: Room): Promise<undefined> {
  const id = await room.submit('[[hang]]');
  const { details } = await room.event(id, 'failed', 'released');
  assert.deepEqual([details?.['kind'], details?.['cause']], ['silent', 'unresponsive'], JSON.stringify(details));
  await room.nothingLeft(id);
}

export interface TaskOutput {
  readonly text: string;
  readonly accepted?: string;
}

export const outputOf = (task: TaskDetail): TaskOutput => (task.result as { readonly output: TaskOutput }).output;

/** The result is the model's last message, from this turn of the user: the second if a session was resumed. */
export function saidInTurn({ program }: Room, task: TaskDetail, turn: number): void {
  const { text } = outputOf(task);
  // A program without sessions may give its model the task more than once.
  if (program.sessions !== undefined) assert.ok(text.startsWith(doneText(turn, '')), `its last message is "${text}"`);
  assert.match(text, /made by the tool/);
}

/** Tokens that the hub should know of; null if the program reports none. */
export function tokensOf({ usageOf, leavesOutThinking = false }: AgentProgram, calls: readonly ModelCall[]): number | null {
  if (usageOf === 'nothing') return null;
  const left = leavesOutThinking ? CALL_USAGE.thinking : 0;
  const counted = calls.filter(({ isAside, tokens }) => tokens > 0 && (usageOf === 'all' || !isAside));
  return counted.reduce((sum, { tokens }) => sum + tokens - left, 0);
}

/** The cost that the hub should know of; null if the program reports none. */
export function dollarsOf({ price, usageOf, dollarsOf: dollars }: AgentProgram, calls: readonly ModelCall[]): number | null {
  if (price === undefined) return null;
  const isOfAll = (dollars ?? usageOf) === 'all';
  const counted = calls.filter(({ isAside, tokens }) => tokens > 0 && (isOfAll || !isAside));
  return counted.reduce((sum, { model }) => {
    const { input, cached, output } = price(model);
    return sum + ((CALL_USAGE.input - CALL_USAGE.cached) * input + CALL_USAGE.cached * cached + CALL_USAGE.output * output) / 1e6;
  }, 0);
}

/** Far less than one token costs. */
const DOLLARS_APART_MAX = 1e-8;
const isSameAmount = (a: number | null, b: number | null): boolean =>
  a === null || b === null ? a === b : Math.abs(a - b) < DOLLARS_APART_MAX;

/** Some of the tokens, and no more than all: for a program that `countsLess`. */
function isAPart(used: number | null, all: number | null): void {
  assert.ok(used !== null && used > 0 && used <= (all ?? 0), `${String(used)} tokens of ${String(all)}`);
}

/** Everything that its model has counted, in tokens and in dollars, and no more. */
export function usedAsCounted({ program, calls }: Room, { tokens_used, cost_usd }: TaskDetail): void {
  const all = tokensOf(program, calls());
  if (program.countsLess === undefined) assert.equal(tokens_used, all, 'the usage is that of its calls');
  else isAPart(tokens_used, all);
  const wanted = dollarsOf(program, calls());
  // A side call (for the session's title, for example) may end after the result: its cost is then not included.
  const atLeast =
    program.countsLess === undefined
      ? wanted
      : dollarsOf(
          program,
          calls().filter(({ isAside }) => !isAside),
        );
  const isAsCounted = [wanted, atLeast].some((amount) => isSameAmount(cost_usd, amount));
  assert.ok(isAsCounted, `it cost ${String(cost_usd)}, and its calls ${String(wanted)}`);
}

/** Nothing is counted twice; of the killed attempt counts what its program had reported by then. */
export function usedOverAttempts({ program, calls }: Room, task: TaskDetail, callsBefore: readonly ModelCall[]): string | undefined {
  const used = task.tokens_used;
  const after = calls().slice(callsBefore.length);
  if (program.usageOf === 'nothing') {
    assert.equal(used, null);
    return 'it reports no usage';
  }
  const all = tokensOf(program, calls()) ?? 0;
  if (program.countsLess !== undefined) {
    isAPart(used, all);
    return program.countsLess;
  }
  const later = tokensOf(program, after) ?? 0;
  assert.ok(
    used !== null && used >= later && used <= all,
    `${String(used)} tokens, of ${String(later)} and ${String(all)} with those before`,
  );
  if (program.tellsUsageEarly) assert.ok(used > later, 'usage reported before the program ended is counted');
  // If the price of some tokens is unknown, so is the total cost.
  const wanted = used === later ? dollarsOf(program, after) : null;
  assert.ok(isSameAmount(task.cost_usd, wanted), `it cost ${String(task.cost_usd)}, not ${String(wanted)}`);
  return used === later ? 'it had reported no usage before it was killed' : undefined;
}
