/** The options of the program that its commands take, too. */
import type { Command, Option } from 'commander';

/** The commands that send nothing to the hub of the command line. */
const WITHOUT_HUB: ReadonlySet<string> = new Set([
  ...['hub', 'sidecar', 'quickstart', 'quickstart-postgres', 'init', 'migrate', 'backup', 'restore'],
  ...['join', 'service', 'tls', 'keys', 'completion', 'report'],
]);
/** The options that name the hub of the command line. */
const HUB_OPTIONS: ReadonlySet<unknown> = new Set(['--url', '--token']);

/** The commands that read no config. */
const WITHOUT_CONFIG: ReadonlySet<string> = new Set(['quickstart', 'init', 'join', 'migrate', 'keys', 'completion', 'report']);

/** The options of the program that this command takes, too. */
export function commonOptionsOf(command: Command): readonly Option[] {
  let [program, top] = [command, command];
  for (; program.parent !== null; program = program.parent) top = program;
  const name = top.name();
  return program.options.filter(
    ({ long }) => !(HUB_OPTIONS.has(long) && WITHOUT_HUB.has(name)) && !(long === '--config' && WITHOUT_CONFIG.has(name)),
  );
}
