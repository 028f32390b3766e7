/** `agentcom service`: runs a hub or a sidecar under the service manager of this machine. */
import { existsSync } from 'node:fs';
import { homedir, userInfo } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { Argument, type Command } from 'commander';
import { AgentcomError } from '../../../core/errors/agentcom-error.ts';
import { PACKAGE_ROOT } from '../../package-root.ts';
import { install, statusOf, uninstall, unitFor } from '../../service/manager.ts';
import type { Installer, ServicePlan, ServiceUnit } from '../../service/service-plan.ts';
import type { Action, Context } from '../cli-context.ts';

const PARTS = ['hub', 'sidecar'] as const;
type Part = (typeof PARTS)[number];
const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/;

interface ServiceOptions {
  readonly name?: string;
  readonly envFile?: string;
  readonly runAs?: string;
}

export function addService(program: Command, action: Action): void {
  const service = program
    .command('service')
    .description('Run a hub or a sidecar as a service: systemd, launchd or the Windows Task Scheduler');
  const add = (name: string, description: string, run: (context: Context, options: ServiceOptions, part: Part) => Promise<void>): void => {
    service
      .command(name)
      .description(description)
      .addArgument(new Argument('<part>', 'what runs').choices([...PARTS]))
      .option('--name <name>', 'its name (default: agentcom-hub, agentcom-sidecar-AGENT)')
      .option('--env-file <file>', 'a file with variables, such as the keys of agents, one NAME=value per line')
      .option('--run-as <user>', 'start it with the machine, as this user; needs root (default: for you, when you log in)')
      .action(action(run));
  };
  add('install', 'Install and start it with the config of this folder; again after a change of options', installService);
  add('print', 'Print what install would write, and change nothing', printService);
  add('status', 'Show its state; exits as the service manager does', showService);
  add('uninstall', 'Stop and remove it; its config and data stay', uninstallService);
}

async function installService(context: Context, options: ServiceOptions, part: Part): Promise<void> {
  const unit = await unitOf(context, options, part);
  await install(unit, context.environment.env);
  context.output.data({ file: unit.file, installed: true });
  context.output.line(`Installed and started: ${unit.file}`);
  for (const note of unit.notes) context.output.note(note);
}

async function printService(context: Context, options: ServiceOptions, part: Part): Promise<void> {
  const unit = await unitOf(context, options, part);
  context.output.data({ file: unit.file, text: unit.text });
  context.output.note(`${unit.file}:`);
  printLines(context, unit.text);
}

async function showService(context: Context, options: ServiceOptions, part: Part): Promise<void> {
  const unit = await unitOf(context, options, part);
  const { code, output } = await statusOf(unit, context.environment.env);
  context.output.data({ file: unit.file, code, status: output });
  printLines(context, output);
  context.exitWith(code);
}

const printLines = ({ output }: Context, text: string): void => {
  for (const line of text.trimEnd().split(/\r?\n/)) output.line(line);
};

async function uninstallService(context: Context, options: ServiceOptions, part: Part): Promise<void> {
  const unit = await unitOf(context, options, part);
  const wasThere = await uninstall(unit, context.environment.env);
  context.output.data({ file: unit.file, installed: false, was_installed: wasThere });
  context.output.line(wasThere ? `Stopped and removed: ${unit.file}` : `Not installed: there is no ${unit.file}`);
}

/** With the config as it is now: one that is wrong is not installed. */
async function unitOf({ environment, common }: Context, options: ServiceOptions, part: Part): Promise<ServiceUnit> {
  const { loadConfigFile } = await import('../../config/load.ts');
  const { file, config } = await loadConfigFile({ configFile: common.config, cwd: environment.cwd });
  const dataDir = part === 'hub' ? config.hub?.dataDir : config.sidecar?.dataDir;
  if (dataDir === undefined) throw new AgentcomError('AC_CONFIG_INVALID', `${file} has no "${part}" section.`);
  const preset = part === 'hub' ? 'agentcom-hub' : `agentcom-sidecar-${config.sidecar?.agentId ?? ''}`;
  const name = options.name ?? preset;
  if (!NAME.test(name)) throw wrong('a name of letters, digits, ".", "_" and "-", at most 100', name);
  const command = join(PACKAGE_ROOT, 'apps', 'cli', 'bin.mjs');
  if (/[\\/]_npx[\\/]/.test(command))
    throw new AgentcomError('AC_SERVICE', `${command} is in npm's cache, which npm may clear.`, {
      cure: 'Install the package first: npm install agentcom',
    });
  const plan: ServicePlan = {
    part,
    name,
    description: part === 'hub' ? 'AgentCom hub' : `AgentCom sidecar of ${config.sidecar?.agentId ?? ''}`,
    argv: [process.execPath, ...envFile(environment.cwd, options.envFile), command, part, '--config', file],
    folder: dirname(file),
    dataDir,
    environment: {
      // A service manager's own path has hardly any program; agents are found by this one.
      PATH: environment.env['PATH'] ?? '',
      MALLOC_ARENA_MAX: '2',
      MALLOC_TRIM_THRESHOLD_: '131072',
    },
    runAs: options.runAs ?? null,
  };
  for (const [what, text] of [
    ...plan.argv.map((each) => ['the command line', each] as const),
    ['PATH', plan.environment['PATH'] ?? ''] as const,
    ['the data directory', plan.dataDir] as const,
  ])
    if (/[\u0000-\u001f\u007f]/.test(text)) throw wrong(`${what} without control characters`, text);
  if (options.runAs !== undefined && !NAME.test(options.runAs)) throw wrong('the name of a user', options.runAs);
  return unitFor(process.platform, plan, installer(environment.env));
}

function envFile(cwd: string, named: string | undefined): readonly string[] {
  if (named === undefined) return [];
  const file = resolve(cwd, named);
  if (!existsSync(file)) throw new AgentcomError('AC_USAGE', `There is no ${file}.`, { cure: 'Correct --env-file.' });
  return [`--env-file=${file}`];
}

const installer = (env: Context['environment']['env']): Installer => {
  const { username, uid } = userInfo();
  return { home: env['HOME'] ?? homedir(), uid, userName: username, configHome: env['XDG_CONFIG_HOME'] };
};

const wrong = (wanted: string, found: string): AgentcomError =>
  new AgentcomError('AC_USAGE', `Wanted ${wanted}, found ${JSON.stringify(found)}.`);
