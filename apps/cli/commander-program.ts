/** The command line: the options that every command takes, and the commands that this call needs. */
import { Command } from 'commander';
import { VERSION } from '../version.ts';
import { isHelpRequested, isJsonRequested, groupsFor } from './command-groups.ts';
import { commonOptionsOf } from './program-options.ts';
import type { Action, CommonOptions, Context, Run } from './cli-context.ts';
import { EXIT_CODES_HELP } from './exit-codes.ts';
import { outputFor } from './output/output.ts';
import type { CliEnvironment } from './cli-environment.ts';

/** Throws commander's errors instead of ending the process; errors of actions are passed on. */
export async function agentcomProgram(
  argv: readonly string[],
  environment: CliEnvironment,
  exitWith: (code: number) => void,
): Promise<Command> {
  const program = new Command('agentcom')
    .description('Run a durable task queue for a fleet of AI agents')
    .version(VERSION, '-v, --version', 'print the version')
    .option('--json', 'print JSON, for programs')
    .option('--utc', 'print times in UTC (default: local time, or the zone in TZ)')
    .option('--url <url>', 'the hub (default: AGENTCOM_API_URL, then hub.listen in the config)')
    .option('--token <token>', 'the bearer token (default: AGENTCOM_ADMIN_TOKEN, then hub.dataDir/admin-token)')
    .option('-c, --config <file>', 'the config (default: agentcom.config.ts, .js or .mjs in this folder)')
    .configureHelp({
      showGlobalOptions: true,
      sortSubcommands: false,
      visibleGlobalOptions: (command) => (command.parent === null ? [] : [...commonOptionsOf(command)]),
    })
    .configureOutput({
      writeOut: (text) => void environment.stdout.write(text),
      // With `--json` an error is one object, which the caller prints.
      writeErr: (text) => void (isJsonRequested(argv) || environment.stderr.write(text)),
      // In the form of our own errors.
      outputError: (text, write) => write(text.replace(/^error: (.*)/, 'agentcom: $1 (AC_USAGE)')),
    })
    .addHelpText('after', EXIT_CODES_HELP)
    .helpCommand(false)
    .exitOverride()
    .hook('preAction', (_program, command) => {
      const taken = commonOptionsOf(command);
      const other = program.options.find(
        (option) => !taken.includes(option) && program.getOptionValue(option.attributeName()) !== undefined,
      );
      if (other !== undefined)
        command.error(`error: this command takes no ${other.long ?? other.flags}`, { code: 'commander.unknownOption' });
    });

  const action: Action =
    <Args extends readonly unknown[], Options>(run: Run<Args, Options>) =>
    async (...given: unknown[]) => {
      // Commander passes the arguments, then the command's own options, then the command.
      const command = given.at(-1) as Command;
      const common = command.optsWithGlobals<CommonOptions>();
      const output = outputFor(environment, common.json === true, common.utc === true);
      const onRetry = (reason: string): void => output.note(`${reason}\nRetrying …`);
      const hub: Context['hub'] = async () => {
        const { connect } = await import('./connect.ts');
        return connect(common, environment, onRetry);
      };
      const context: Context = { environment, output, common, exitWith, hub };
      await run(context, given.at(-2) as Options, ...(given.slice(0, -2) as unknown as Args));
    };

  for (const add of await Promise.all(groupsFor(argv).map((load) => load()))) add(program, action);
  if (isHelpRequested(argv)) (await import('./help.ts')).addHelp(program);
  nameInErrors(program, 'agentcom');
  return program;
}

/** Makes the hint after a command-line error name the command that the error is about. */
function nameInErrors(command: Command, name: string): void {
  command.showHelpAfterError(`(see ${name} --help)`);
  for (const each of command.commands) nameInErrors(each, `${name} ${each.name()}`);
}
