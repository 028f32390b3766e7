/**
 * Output and behavior of programs that is easily mistaken: for their last message, for a sign of life, for a result,
 * for one of their commands.
 */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { givenUp, outputOf, QUICK_TOOL, saidInTurn, stoppedAsSilent, usedAsCounted, type AgentCase } from './case-kit.ts';
import { OVER_TEXT } from './fake-model/script.ts';
import type { Room } from './room.ts';

/** A line that is too long for it, and longer than any that a program prints by itself. */
const LINE_BYTES_MAX = 65_536;
/** Calls that fail in a short outage: more than the retries of any program that gives up at all. */
const OUTAGE_CALLS = 4;

/** Prints something on standard error each second, as long as the program lives; `$0` is its file. */
const WITH_NOISE = '(while kill -0 $$ 2>/dev/null; do echo noise >&2; sleep 1; done) & exec "$0" "$@"';

export const WORD_CASES: readonly AgentCase[] = [
  ...(['shell', 'subagent'] as const).map((what): AgentCase => ({
    name: `background-${what}`,
    about: `a ${what} runs in the background when it first reports that it is done: its last message is the result`,
    unsupported: ({ background, forgetsBackground }) =>
      background?.includes(what) === true ? null : (forgetsBackground ?? `it has no ${what} in the background`),
    async run(room) {
      const id = await room.submit(what === 'shell' ? `[[background: sleep 3; ${QUICK_TOOL}]]` : '[[subagent]]');
      const task = await room.completed(id);
      assert.equal(outputOf(task).text.trim(), OVER_TEXT);
      if (what === 'shell') assert.ok(existsSync(join(room.cwd, 'made.txt')), 'the background command ended by itself');
      usedAsCounted(room, task);
      await room.nothingLeft(id);
      return undefined;
    },
  })),
  ...(['before', 'after'] as const).map((when): AgentCase => ({
    name: `outage-${when}`,
    about: `a short outage of its model, ${when} a tool has run: no attempt is used up, and the task completes`,
    run: (room) => overOutage(room, `[[outage: ${String(OUTAGE_CALLS)} ${when} ${QUICK_TOOL}]]`),
  })),
  {
    name: 'long-line',
    about: 'its answer is in a line over maxLineBytes: there is no result, not even a partial one',
    options: () => ({ maxLineBytes: LINE_BYTES_MAX }),
    run: (room) => givenUp(room, '[[answers: long]]', 'limit'),
  },
  {
    name: 'overflow',
    about: 'its context is too long, it compacts it and ends well: completed',
    unsupported: ({ compacts }) => (compacts === true ? null : 'it does not continue after that'),
    async run(room) {
      const id = await room.submit('[[overflow]]');
      const task = await room.completed(id);
      assert.notEqual(outputOf(task).text.trim(), '');
      assert.ok(room.calls().some(({ status }) => status === 400));
      return undefined;
    },
  },
  {
    name: 'noise',
    about: 'a model that never answers, with noise on standard error: noise is not a sign of life',
    options: ({ idleMs }, { bin }) => ({ idleMs, bin: ['sh', '-c', WITH_NOISE, bin] }),
    unsupported: ({ noiseIsLife }) => noiseIsLife ?? null,
    run: stoppedAsSilent,
  },
  {
    name: 'slash',
    about: 'a task whose prompt begins with the name of a command of the program: it is text for the model',
    options: () => ({ prompt: '${TASK_DESCRIPTION}' }),
    async run(room) {
      const id = await room.submit(`/clear [[shell: ${QUICK_TOOL}]]`);
      saidInTurn(room, await room.completed(id), 1);
      await room.nothingLeft(id);
      return undefined;
    },
  },
];

/** Some programs recover by themselves; from others the task is handed back, and is assigned to them once more. */
async function overOutage(room: Room, description: string): Promise<string> {
  const id = await room.submit(description);
  const task = await room.ended(id);
  assert.deepEqual([task.status, task.retry_count], ['completed', 0], String(task.last_error));
  assert.match(outputOf(task).text, /made by the tool/);
  assert.ok(room.calls().filter(({ status }) => status === 503).length >= OUTAGE_CALLS);
  await room.nothingLeft(id);
  const released = task.history.filter(({ event }) => event === 'released');
  const causes = new Set(released.map(({ details }) => details?.['cause']));
  assert.deepEqual([...causes], released.length === 0 ? [] : ['model_unavailable']);
  return released.length === 0 ? 'the program recovers by itself' : `handed back ${String(released.length)} times`;
}
