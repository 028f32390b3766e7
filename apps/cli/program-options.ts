/** The options of the program that its commands take, too. */
import type { Command, Option } from 'commander';

/** The commands that send nothing to the hub of the command line. */
const WITHOUT_HUB: ReadonlySet<string> = new Set([
  ...['hub', 'sidecar', 'quickstart', 'quickstart-postgres', 'init', 'migrate', 'backup', 'restore'],
  ...['join', 'service', 'tls', 'keys', 'completion', 'report'],
]);
/** The options that name the hub of the command line. */
const HUB_OPTIONS: ReadonlySet<unknown> = new Set(['--url', '--token']);

/** The options of the program that this command takes, too. */
export function commonOptionsOf(command: Command): readonly Option[] {
  let [program, top] = [command, command];
  for (; program.parent !== null; program = program.parent) top = program;
  return program.options.filter(({ long }) => !(HUB_OPTIONS.has(long) && WITHOUT_HUB.has(top.name())));
}
