/**
 * What the model does, as the task itself says: the newest `[[word: rest]]` that a user has said.
 *
 *     [[shell: COMMAND]]                calls the program's shell once, then says that it is done
 *     [[background: COMMAND]]           the same in the background, and another word of it once the program says that it is over
 *     [[subagent]]                      the same with a subagent that calls a shell
 *     [[status: CODE]]                  every call fails with this HTTP status
 *     [[answers: WORD]]                 every call is answered so: see `answerTo`
 *     [[outage: N before COMMAND]]      so many calls fail with 503 at first; then as with `shell`
 *     [[outage: N after COMMAND]]       as with `shell`, but so many calls after its tool fail with 503
 *     [[overflow]]                      its context is too long once, and it answers after that
 *     [[hang]]                          no call is ever answered
 */
import { SERVICE_FAILURES, type Answer, type ServiceFailure, type ToolCall, type Turn } from './model-api.ts';

export type Act =
  | { readonly kind: 'answer'; readonly answer: Answer }
  /** The stream breaks off in the middle of the answer. */
  | { readonly kind: 'cut'; readonly answer: Answer }
  | { readonly kind: 'fail'; readonly what: ServiceFailure | number }
  | { readonly kind: 'hang' };

const TAG = /\[\[(\w+)(?::\s*([^]*?))?\]\]/;

type Args = ToolCall['args'];
const described = (command: string): Args => ({ command, description: 'does the task' });

/** The shell as each program names it, and how it is called. */
const SHELLS: Readonly<Record<string, (command: string) => Args>> = {
  Bash: described,
  bash: described,
  run_shell_command: described,
  exec_command: (command) => ({ cmd: command }),
  shell_command: (command) => ({ command }),
  exec: (command) => ({ command }),
};

/** Answers that distinguish runs: in which turn of the user it was, and what its tool said. */
export const doneText = (userTurns: number, output: string): string => `done in turn ${String(userTurns)}: ${output}`;
/** What it says about background work: when it was started, and when it is over. */
export const BEGUN_TEXT = 'it is at work in the background';
export const OVER_TEXT = 'it has ended in the background: this is the last message';
/** The beginning of a truncated answer, and a refusal. */
export const CUT_TEXT = 'this is the beginning of an answer that is';
export const REFUSAL_TEXT = 'I am sorry, but I cannot help with that.';
/** Text without repetition: some programs cut repetitive text off. */
const LONG_WORDS = 35_000;
const OUTAGE_STATUS = 503;
/** It has tools itself, and is told so in its own prompt. */
const SUBAGENT_PROMPT = '[[shell: sleep 2; echo made by the tool]]';

const say = (text: string): Act => ({ kind: 'answer', answer: { text } });
const call = (name: string, args: Args): Act => ({ kind: 'answer', answer: { call: { name, args } } });

/** One conversation, from its newest message to the model on. */
interface Instruction {
  readonly rest: string;
  readonly tools: readonly string[];
  /** What followed that message. */
  readonly later: readonly Turn[];
  /** Of the user, with a command for the model in them. */
  readonly turns: number;
  readonly failedBefore: number;
}

/** `failedBefore`: calls of the same program that failed so far, except those apart from its work. */
export function actFor(turns: readonly Turn[], tools: readonly string[], failedBefore = 0): Act {
  const tagged = turns.flatMap(({ role, text }, index) => (role === 'user' && TAG.test(text) ? [index] : []));
  const last = tagged.at(-1);
  const [, word = '', rest = ''] = TAG.exec(last === undefined ? '' : (turns[last]?.text ?? '')) ?? [];
  return (
    ACTS[word]?.({ rest: rest.trim(), tools, later: turns.slice(last), turns: tagged.length, failedBefore }) ?? say('nothing was asked')
  );
}

const ACTS: Readonly<Record<string, (request: Instruction) => Act>> = {
  hang: () => ({ kind: 'hang' }),
  status: ({ rest }) => ({ kind: 'fail', what: Number(rest) }),
  answers: ({ rest }) => answerTo(rest),
  shell: withShell,
  background: (request) =>
    inBackground(request, call('Bash', { command: request.rest, description: 'does the task', run_in_background: true })),
  subagent(request) {
    const name = request.tools.find((tool) => tool === 'Agent' || tool === 'Task') ?? 'Task';
    const args = { description: 'a part of it', prompt: SUBAGENT_PROMPT, subagent_type: 'general-purpose', run_in_background: true };
    return inBackground(request, call(name, args));
  },
  outage(request) {
    const [, count = '', when = '', command = ''] = /^(\d+) (before|after) ([^]*)$/.exec(request.rest) ?? [];
    const isDue = when === 'before' || resultsIn(request).length > 0;
    if (request.tools.length > 0 && isDue && request.failedBefore < Number(count)) return { kind: 'fail', what: OUTAGE_STATUS };
    return withShell({ ...request, rest: command });
  },
  overflow: ({ tools, failedBefore }) =>
    tools.length > 0 && failedBefore === 0 ? { kind: 'fail', what: 'context' } : say('it continues after that'),
};

const resultsIn = ({ later }: Instruction): readonly Turn[] => later.filter(({ role }) => role === 'tool');

function withShell(request: Instruction): Act {
  const { tools, rest, turns } = request;
  const shell = tools.find((name) => name in SHELLS);
  if (tools.length === 0) return say('a title'); // Some programs ask for a title apart from the work.
  if (shell === undefined) return say(`there is no shell among ${tools.join(', ')}`);
  const results = resultsIn(request);
  if (results.length > 0) return say(doneText(turns, results.at(-1)?.text.trim().slice(0, 200) ?? ''));
  return call(shell, SHELLS[shell]?.(rest) ?? {});
}

/** Once it has said that it started, any further message means that it is over. */
function inBackground({ tools, later }: Instruction, begin: Act): Act {
  if (tools.length === 0) return say('a title');
  const result = later.findIndex(({ role }) => role === 'tool');
  if (result === -1) return begin;
  const begun = later.findIndex(({ role, text }, index) => index > result && role === 'assistant' && text !== '');
  return say(begun === -1 ? BEGUN_TEXT : OVER_TEXT);
}

/** How a call without more to say ends. */
function answerTo(word: string): Act {
  const failure = SERVICE_FAILURES.find((name) => name === word);
  if (failure !== undefined) return { kind: 'fail', what: failure };
  switch (word) {
    case 'empty':
      return say('');
    case 'long':
      return say(Array.from({ length: LONG_WORDS }, (_, index) => index).join(' '));
    case 'truncated':
      return { kind: 'answer', answer: { text: CUT_TEXT, end: 'truncated' } };
    case 'refused':
      return { kind: 'answer', answer: { text: REFUSAL_TEXT, end: 'refused' } };
    case 'filtered':
      return { kind: 'answer', answer: { text: '', end: 'filtered' } };
    case 'cut':
      return { kind: 'cut', answer: { text: CUT_TEXT } };
    default:
      return say(`there is no answer "${word}"`);
  }
}
