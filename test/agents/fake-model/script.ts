/**
 * What the model does, as the task itself says: the newest `[[word: rest]]` that a user has said.
 *
 *     [[shell: COMMAND]]    calls the program's shell once, then says that it is done
 *     [[status: CODE]]      every call fails with this HTTP status
 *     [[hang]]              no call is ever answered
 */
import type { Answer, ToolCall, Turn } from './model-api.ts';

export type Act =
  { readonly kind: 'answer'; readonly answer: Answer } | { readonly kind: 'fail'; readonly status: number } | { readonly kind: 'hang' };

const TAG = /\[\[(\w+)(?::\s*([^]*?))?\]\]/;

/** The shell as each program names it, and how it is called. */
const SHELLS: Readonly<Record<string, (command: string) => ToolCall['args']>> = {
  Bash: (command) => ({ command, description: 'does the task' }),
  bash: (command) => ({ command, description: 'does the task' }),
  run_shell_command: (command) => ({ command, description: 'does the task' }),
  exec_command: (command) => ({ cmd: command }),
  shell_command: (command) => ({ command }),
  exec: (command) => ({ command }),
};

/** Answers that a program can be told apart by: in which turn of the user it was, and what its tool said. */
export const doneText = (userTurns: number, said: string): string => `done in turn ${String(userTurns)}: ${said}`;

export function actFor(turns: readonly Turn[], tools: readonly string[]): Act {
  const tagged = turns.flatMap(({ role, text }, index) => (role === 'user' && TAG.test(text) ? [index] : []));
  const last = tagged.at(-1);
  const [, word, rest = ''] = TAG.exec(last === undefined ? '' : (turns[last]?.text ?? '')) ?? [];
  const say = (text: string): Act => ({ kind: 'answer', answer: { text } });
  switch (word) {
    case 'hang':
      return { kind: 'hang' };
    case 'status':
      return { kind: 'fail', status: Number(rest) };
    case 'shell': {
      const shell = tools.find((name) => name in SHELLS);
      if (tools.length === 0) return say('a title'); // Some programs ask for one beside the work.
      if (shell === undefined) return say(`there is no shell among ${tools.join(', ')}`);
      const results = turns.slice(last).filter(({ role }) => role === 'tool');
      if (results.length > 0) return say(doneText(tagged.length, results.at(-1)?.text.trim().slice(0, 200) ?? ''));
      return { kind: 'answer', answer: { call: { name: shell, args: SHELLS[shell]?.(rest.trim()) ?? {} } } };
    }
    default:
      return say('nothing was asked');
  }
}
