/** `agentcom init`: writes the first config of a folder. */
import { join } from 'node:path';
import { createInterface } from 'node:readline/promises';
import { Option, type Command } from 'commander';
import { isAgentId } from '../../../core/domain/ids.ts';
import { AgentcomError } from '../../../core/errors/agentcom-error.ts';
import type { Action, Context } from '../cli-context.ts';
import { EXIT_INTERRUPTED } from '../exit-codes.ts';
import { writeNewFile } from '../new-file.ts';
import { wrongValue } from '../wrong-value.ts';

const ROLES = ['both', 'hub', 'sidecar'] as const;
type Runs = (typeof ROLES)[number];
const FILE = 'agentcom.config.ts';
/** Completes "Expected …". */
const AGENT_ID_WANTED = 'an agent ID of lowercase letters, digits, ".", "_" and "-", at most 64';
/** Wrong answers before it gives up. */
const ANSWERS_MAX = 5;

/** What wakes the agent, by the name of its program. */
const WAKES = {
  none: null,
  claude: { factory: 'claudeCode', text: `claudeCode({ cwd: 'project' }), // the folder that it works in` },
  codex: { factory: 'codex', text: `codex({ cwd: 'project' }), // the folder that it works in` },
  gemini: { factory: 'gemini', text: `gemini({ cwd: 'project' }), // the folder that it works in` },
  command: { factory: 'command', text: `command({ argv: ['node', 'agent.mjs'] }), // any program; docs/wake-runners.md` },
} as const;
type Program = keyof typeof WAKES;
const PROGRAMS = Object.keys(WAKES) as Program[];

interface InitOptions {
  readonly runs?: Runs;
  readonly agentId?: string;
  readonly program?: Program;
  readonly yes?: boolean;
}

export function addInit(program: Command, action: Action): void {
  program
    .command('init')
    .description(`Write a starter ${FILE} into this folder`)
    .addOption(new Option('--runs <part>', 'what runs on this machine').choices([...ROLES]))
    .option('--agent-id <agent>', "the ID of the sidecar's agent")
    .addOption(new Option('--program <program>', 'the program that the sidecar wakes').choices(PROGRAMS))
    .option('-y, --yes', 'do not prompt: use the defaults (both, worker-1, none) for omitted options')
    .action(action(init));
}

async function init(context: Context, options: InitOptions): Promise<void> {
  const { output, environment } = context;
  const { ask, close, isInterrupted } = asker(context, options.yes === true);
  const answered = await promptedOptions(ask, options)
    .catch((thrown: unknown) => {
      if (!isInterrupted()) throw thrown;
      return null;
    })
    .finally(close);
  if (answered === null) {
    output.note('\nInterrupted; nothing was written.');
    return context.exitWith(EXIT_INTERRUPTED);
  }
  const { runs, agentId, program } = answered;
  const file = join(environment.cwd, FILE);
  await writeNewFile(file, configOf(runs, agentId, program), { mode: 0o644, hint: 'Edit it, or move it away.' });
  output.data({ config: file });
  output.line(`Wrote ${file}`);
  if (runs !== 'sidecar') output.note('Start the hub with: agentcom hub');
  if (runs !== 'hub' && program === 'command')
    output.note('Write agent.mjs first, or name your own program in wake: docs/getting-started.md');
  if (runs !== 'hub') output.note('Start the sidecar with: agentcom sidecar');
}

async function promptedOptions(ask: Ask, options: InitOptions): Promise<{ runs: Runs; agentId: string; program: Program }> {
  const runs = options.runs ?? (await ask('What runs on this machine', ROLES, 'both'));
  const hasSidecar = runs !== 'hub';
  const agentId = options.agentId ?? (hasSidecar ? await ask('The ID of the agent', isAgentId, 'worker-1') : 'worker-1');
  if (!isAgentId(agentId)) throw wrongValue(AGENT_ID_WANTED, agentId);
  const program = options.program ?? (hasSidecar ? await ask('The program that it wakes', PROGRAMS, 'none') : 'none');
  return { runs, agentId, program };
}

type Ask = <Answer extends string>(
  question: string,
  allowed: readonly Answer[] | ((text: string) => boolean),
  preset: Answer,
) => Promise<Answer>;

interface Asker {
  readonly ask: Ask;
  readonly close: () => void;
  readonly isInterrupted: () => boolean;
}

/** Asks on a terminal. Without a terminal, defaults are used only with `--yes`. */
function asker({ environment, output }: Context, takesPresets: boolean): Asker {
  const { stdin, stderr } = environment;
  const isTerminal = !output.json && stderr.isTTY === true && 'isTTY' in stdin && stdin.isTTY === true;
  const signal = isTerminal && !takesPresets ? environment.interrupt() : undefined;
  const lines = signal === undefined ? null : createInterface({ input: stdin, signal });
  const answers = lines?.[Symbol.asyncIterator]();
  const ask: Ask = async (question, allowed, preset) => {
    if (takesPresets) return preset;
    if (answers === undefined) {
      throw new AgentcomError(
        'AC_USAGE',
        'There is no terminal to prompt on. Pass --yes for the defaults, or --runs, --agent-id and --program.',
      );
    }
    const choices = typeof allowed === 'function' ? '' : ` (${allowed.join(', ')})`;
    for (let tries = 0; tries < ANSWERS_MAX; tries += 1) {
      stderr.write(`${question}${choices} [${preset}]: `);
      const step = await answers.next();
      if (step.done === true) break;
      const answer = step.value.trim() as typeof preset;
      if (answer === '') return preset;
      if (typeof allowed === 'function' ? allowed(answer) : allowed.includes(answer)) return answer;
      output.note(`Invalid answer: ${answer}${typeof allowed === 'function' ? `. Expected ${AGENT_ID_WANTED}.` : ''}`);
    }
    throw new AgentcomError('AC_USAGE', 'No answer; nothing was written.');
  };
  return { ask, close: () => lines?.close(), isInterrupted: () => signal?.aborted === true };
}

function configOf(runs: Runs, agentId: string, program: Program): string {
  const wake = runs === 'hub' ? null : WAKES[program];
  const imports = [
    `import { defineConfig } from 'agentcom';`,
    ...(wake === null ? [] : [`import { ${wake.factory} } from 'agentcom/runners';`]),
    ...(runs === 'sidecar' ? [] : [`import { sqlite } from 'agentcom/storage';`, `import { ws } from 'agentcom/transport';`]),
  ];
  const hub = `  hub: {
    // Reachable only from this machine. For other machines, see docs/configuration.md.
    listen: { host: '127.0.0.1', port: 4000 },
    storage: sqlite({ file: 'agentcom.db' }), // in dataDir
    transport: ws(),
    dataDir: 'data/hub', // also holds the admin token, created at the first start
  },
`;
  const sidecar = `  sidecar: {
    hubs: ['ws://127.0.0.1:4000/ws'],${runs === 'sidecar' ? ' // of another machine: agentcom join writes this file' : ''}
    agentId: ${JSON.stringify(agentId)},
    capabilities: [], // what tasks can require with --needs
    ${wake === null ? `// Wakes nothing: an agent that polls finds its tasks in data/${agentId}/tasks. To have it start a program, set wake: docs/agents.md.` : `wake: ${wake.text}`}
  },
`;
  return `${imports.join('\n')}

// Every option: docs/configuration.md of the package agentcom.
export default defineConfig({
${runs === 'sidecar' ? '' : hub}${runs === 'hub' ? '' : sidecar}});
`;
}
