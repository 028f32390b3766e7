/** Each answer of the model's service, with each program: the task ends as answers.ts says, or as the program is known to handle it. */
import assert from 'node:assert/strict';
import type { Acceptance } from '../../core/domain/task/task.ts';
import { ANSWER_NAMES, ANSWERS, type AnswerName, type Outcome, type Otherwise } from './answers.ts';
import type { AgentProgram } from './real-program.ts';
import { givenUp, handedBack, outputOf, triedAgain, triesUntilCancelled, type AgentCase } from './case-kit.ts';
import { CUT_TEXT } from './fake-model/script.ts';
import type { Room } from './room.ts';

const otherwise = ({ otherwise: known }: AgentProgram, name: AnswerName): Otherwise | undefined => known?.[name];

const impossible = (program: AgentProgram, name: AnswerName): string | null => {
  const known = otherwise(program, name);
  return known !== undefined && 'isImpossible' in known ? `not possible: ${known.why}` : null;
};

function wantedOf(program: AgentProgram, name: AnswerName): Outcome {
  const known = otherwise(program, name);
  return { cause: ANSWERS[name].cause, end: ANSWERS[name].end, ...(known === undefined || 'isImpossible' in known ? {} : known) };
}

const answerCase = (name: AnswerName): AgentCase => ({
  name,
  about: ANSWERS[name].about,
  unsupported: (program) => impossible(program, name),
  async run(room) {
    const { tag } = ANSWERS[name];
    if (room.program.triesOnAfter.includes(name)) return triesUntilCancelled(room, tag);
    const { cause, end } = wantedOf(room.program, name);
    const note = await COMES_OF[end](room, tag, cause);
    return otherwise(room.program, name)?.why ?? note;
  },
});

const COMES_OF: Readonly<Record<Outcome['end'], (room: Room, tag: string, cause: string) => Promise<string | undefined>>> = {
  'handed back': handedBack,
  'given up': givenUp,
  'tried again': triedAgain,
  async completed(room, tag) {
    const task = await room.completed(await room.submit(tag));
    assert.notEqual(outputOf(task).text.trim(), '', 'the result is not empty');
    return undefined;
  },
};

/** Ends that a task may accept as its result, by their word. */
const TAKEN = { empty: 'empty', truncated: 'truncated', refused: 'refused', filtered: 'refused' } as const;

/** It is an ordinary failure if the program does not say which. */
function untold(program: AgentProgram, name: AnswerName): string | null {
  const { cause, end } = wantedOf(program, name);
  return end === 'tried again' && cause !== 'no_result' ? `not possible: ${otherwise(program, name)?.why ?? ''}` : null;
}

/** A task that accepts such an end gets it as its result, which names it; if the answer is empty, it must accept that too. */
const takenCase = (name: keyof typeof TAKEN): AgentCase => ({
  name: `${name}-taken`,
  about: `${ANSWERS[name].about}, for a task that accepts it as its result`,
  unsupported: (program) => impossible(program, name) ?? untold(program, name),
  async run(room) {
    const accept: Acceptance = Object.fromEntries(['empty', TAKEN[name]].map((end) => [end, true]));
    const task = await room.completed(await room.submit(ANSWERS[name].tag, { accept }));
    const { text, accepted } = outputOf(task);
    const { cause, end } = wantedOf(room.program, name);
    const wanted = end === 'completed' ? undefined : cause === 'no_result' ? 'empty' : TAKEN[name];
    assert.equal(accepted, wanted, `it was accepted as ${String(accepted)}: "${text}"`);
    // Some ask their model to continue several times, and report everything it said.
    if (name === 'truncated' && wanted === 'truncated' && text !== '') assert.ok(text.startsWith(CUT_TEXT), text);
    if (wanted === 'empty') assert.equal(text, '');
    return text === '' && name !== 'empty' ? 'no text of it is reported' : undefined;
  },
});

export const ANSWER_CASES: readonly AgentCase[] = [
  {
    name: '401',
    about: 'a wrong key, whatever the request: no attempt is used up, and the agent is paused with the reason',
    isKeyWrong: true,
    run: (room) => handedBack(room, '[[shell: true]]', 'auth'),
  },
  ...ANSWER_NAMES.map(answerCase),
  ...(Object.keys(TAKEN) as (keyof typeof TAKEN)[]).map(takenCase),
];
