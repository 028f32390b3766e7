/** Which module has which commands. A call loads only what it needs: loading modules is most of the time that a short command takes. */
import type { Command } from 'commander';
import type { Action } from './cli-context.ts';

/** Adds the commands of one module. */
export type AddCommands = (program: Command, action: Action) => void;

interface CommandGroup {
  readonly commands: readonly string[];
  readonly load: () => Promise<AddCommands>;
  /** It works on all commands, so all modules are loaded. */
  readonly needsAll?: boolean | undefined;
}

/** In the order of `--help`. */
export const COMMAND_GROUPS: readonly CommandGroup[] = [
  {
    commands: ['hub', 'sidecar', 'quickstart', 'quickstart-postgres'],
    load: async () => (await import('./commands/program-commands.ts')).addPrograms,
  },
  { commands: ['init'], load: async () => (await import('./commands/init.ts')).addInit },
  { commands: ['submit'], load: async () => (await import('./commands/submit-commands.ts')).addSubmit },
  {
    commands: ['list', 'show', 'watch', 'retry', 'cancel', 'adopt', 'stats'],
    load: async () => (await import('./commands/task-commands.ts')).addTasks,
  },
  { commands: ['why'], load: async () => (await import('./commands/why.ts')).addWhy },
  { commands: ['top'], load: async () => (await import('./commands/top.ts')).addTop },
  { commands: ['logs'], load: async () => (await import('./commands/logs.ts')).addLogs },
  {
    commands: ['agents', 'push', 'whoami', 'schemas', 'tokens'],
    load: async () => (await import('./commands/agent-commands.ts')).addAgents,
  },
  {
    commands: ['drain', 'resume', 'takeover', 'forget'],
    load: async () => (await import('./commands/control-commands.ts')).addAgentControl,
  },
  { commands: ['audit'], load: async () => (await import('./audit/audit-commands.ts')).addAudit },
  { commands: ['doctor'], load: async () => (await import('./commands/doctor.ts')).addDoctor },
  { commands: ['migrate', 'backup', 'restore'], load: async () => (await import('./commands/moving.ts')).addMoving },
  { commands: ['import'], load: async () => (await import('./commands/import.ts')).addImport },
  { commands: ['invite', 'join'], load: async () => (await import('./commands/join.ts')).addJoin },
  { commands: ['service'], load: async () => (await import('./commands/service.ts')).addService },
  { commands: ['tls'], load: async () => (await import('./commands/tls.ts')).addTls },
  { commands: ['keys'], load: async () => (await import('./commands/keys.ts')).addKeys },
  { commands: ['completion'], needsAll: true, load: async () => (await import('./commands/completion.ts')).addCompletion },
  { commands: ['report'], load: async () => (await import('./commands/report.ts')).addReport },
];

/** Options that may precede the command and take the next argument as their value. */
const WITH_VALUE: ReadonlySet<string> = new Set(['--url', '--token', '--config', '-c']);

/** The modules that this command line needs: one, or all if it names no known command (help, a misspelled command). */
export function groupsFor(argv: readonly string[]): readonly CommandGroup['load'][] {
  const name = commandNamed(argv);
  const group = COMMAND_GROUPS.find(({ commands }) => name !== undefined && commands.includes(name));
  if (group !== undefined && group.needsAll !== true) return [group.load];
  const isVersion = argv[0] === '--version' || argv[0] === '-v';
  return isVersion ? [] : COMMAND_GROUPS.map(({ load }) => load);
}

function commandNamed(argv: readonly string[]): string | undefined {
  for (let index = 0; index < argv.length; index += 1) {
    const argument = argv[index] ?? '';
    if (WITH_VALUE.has(argument)) index += 1;
    else if (!argument.startsWith('-')) return argument;
  }
  return undefined;
}

/** Arguments after `--` are not options. */
const optionsOf = (argv: readonly string[]): readonly string[] => (argv.includes('--') ? argv.slice(0, argv.indexOf('--')) : argv);

/** Whether output and errors are to be JSON. */
export const isJsonRequested = (argv: readonly string[]): boolean => optionsOf(argv).includes('--json');

export const isHelpRequested = (argv: readonly string[]): boolean => optionsOf(argv).some((each) => each === '--help' || each === '-h');
