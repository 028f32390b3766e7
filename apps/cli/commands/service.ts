/** `agentcom service`: runs a hub or a sidecar under the service manager of this machine. */
import { existsSync, readFileSync } from 'node:fs';
import { userInfo } from 'node:os';
import { delimiter, dirname, isAbsolute, join, resolve } from 'node:path';
import { parseEnv } from 'node:util';
import { Argument, Option, type Command } from 'commander';
import { AgentcomError, fileReasonOf } from '../../../core/errors/agentcom-error.ts';
import { PACKAGE_ROOT } from '../../package-root.ts';
import { install, isUser, otherUnit, statusOf, uninstall, unitFor, type OtherUnit } from '../../service/manager.ts';
import { VERSION } from '../../version.ts';
import type { Installer, ServicePlan, ServiceUnit } from '../../service/service-plan.ts';
import type { Action, Context } from '../cli-context.ts';
import { wrongValue } from '../wrong-value.ts';

const PARTS = ['hub', 'sidecar'] as const;
type Part = (typeof PARTS)[number];
const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/;

interface ServiceOptions {
  readonly name?: string;
  readonly variables?: string;
  /** The former name of `variables`. */
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
      .option('--variables <file>', 'a file with variables, such as the keys of agents, one NAME=value per line')
      // Node itself reads an option of this name, even behind its script, and ends if there is no such file.
      .addOption(new Option('--env-file <file>').hideHelp())
      .option('--run-as <user>', 'start it at boot, as this user; needs root (default: as you, when you log in)')
      .action(action(run));
  };
  add('install', 'Install and start it with the config of this folder; again after a change of options', installService);
  add('print', 'Print what install would write, and change nothing', printService);
  add('status', 'Show its state; exits as the service manager does', showService);
  add('uninstall', 'Stop and remove it; its config and data stay', uninstallService);
}

async function installService(context: Context, options: ServiceOptions, part: Part): Promise<void> {
  const { plan, notes } = await checkedPlan(context, options, part);
  const unit = unitOf(context, plan);
  const other = await otherOf(context, plan);
  if (other !== null)
    throw new AgentcomError('AC_SERVICE', `A service ${kindOf(other)} is already installed under this name: ${other.file}.`, {
      hint: `Remove it first, or choose another --name. To remove it, run${commandFor('uninstall', plan, other)}`,
    });
  const missing = unit.folders.find((folder) => !existsSync(folder));
  if (missing !== undefined)
    throw new AgentcomError('AC_SERVICE', `There is no ${missing}, and the service cannot create it.`, {
      hint: `Create it first: install -d -m 700 -o ${options.runAs ?? ''} ${JSON.stringify(missing)}`,
    });
  // Otherwise the service manager would start it again and again.
  if (options.runAs !== undefined && !(await isUser(options.runAs)))
    throw new AgentcomError('AC_SERVICE', `There is no user ${JSON.stringify(options.runAs)}.`, {
      hint: 'Create it first, or correct --run-as.',
    });
  await install(unit, context.environment.env);
  context.output.data({ file: unit.file, installed: true });
  context.output.line(`Installed and started: ${unit.file}`);
  for (const note of [...unit.notes, ...notes]) context.output.note(note);
}

async function printService(context: Context, options: ServiceOptions, part: Part): Promise<void> {
  const { plan, notes } = await checkedPlan(context, options, part);
  const unit = unitOf(context, plan);
  for (const note of notes) context.output.note(note);
  context.output.data({ file: unit.file, text: unit.text });
  context.output.note(`${unit.file}:`);
  printLines(context, unit.text);
}

async function showService(context: Context, options: ServiceOptions, part: Part): Promise<void> {
  const plan = await namedPlan(context, options, part);
  const unit = unitOf(context, plan);
  const other = await otherOf(context, plan);
  const { code, output } = await statusOf(unit, context.environment.env);
  context.output.data({ file: unit.file, code, status: output, other_file: other?.file ?? null });
  printLines(context, output);
  if (other !== null) context.output.note(otherNote('status', plan, other));
  context.exitWith(code);
}

const printLines = ({ output }: Context, text: string): void => {
  for (const line of text.trimEnd().split(/\r?\n/)) output.line(line);
};

async function uninstallService(context: Context, options: ServiceOptions, part: Part): Promise<void> {
  const plan = await namedPlan(context, options, part);
  const unit = unitOf(context, plan);
  const other = await otherOf(context, plan);
  const wasThere = await uninstall(unit, context.environment.env);
  context.output.data({ file: unit.file, installed: false, was_installed: wasThere, other_file: other?.file ?? null });
  context.output.line(wasThere ? `Stopped and removed: ${unit.file}` : `Not installed: there is no ${unit.file}`);
  if (other !== null) context.output.note(otherNote('uninstall', plan, other));
}

const otherNote = (command: 'status' | 'uninstall', plan: ServicePlan, other: OtherUnit): string =>
  `A service ${kindOf(other)} is installed under this name, too: ${other.file}. For that one, run${commandFor(command, plan, other)}`;

const kindOf = ({ runAs, owner }: OtherUnit): string =>
  runAs !== null ? `of the system, for the user ${runAs},` : owner === undefined ? 'of your user' : `of the user ${owner}`;

/** Completes a sentence that ends with "run". */
function commandFor(command: 'status' | 'uninstall', { part, name }: ServicePlan, { runAs, owner }: OtherUnit): string {
  const asUser = owner !== undefined ? ` as ${owner}` : runAs !== null && command === 'uninstall' ? ' as root' : '';
  const user = runAs === null ? '' : ` --run-as ${runAs}`;
  return `${asUser}: agentcom service ${command} ${part} --name ${name}${user}`;
}

const unitOf = ({ environment }: Context, plan: ServicePlan): ServiceUnit => unitFor(process.platform, plan, installer(environment.env));

const otherOf = ({ environment }: Context, plan: ServicePlan): Promise<OtherUnit | null> =>
  otherUnit(process.platform, plan, installer(environment.env));

interface CheckedPlan {
  readonly plan: ServicePlan;
  /** What the user should know before it runs. */
  readonly notes: readonly string[];
}

/** Variables that hub and sidecar read even if the config does not. */
const READ_ANYWAY: Readonly<Record<Part, readonly string[]>> = {
  hub: ['AGENTCOM_ADMIN_TOKEN'],
  sidecar: ['AGENTCOM_TOKEN', 'AGENTCOM_ENROL_SECRET', 'AGENTCOM_HUB_FINGERPRINT'],
};

/** Every service has these. */
const OF_EVERY_SERVICE: ReadonlySet<string> = new Set(['HOME', 'USER', 'LOGNAME', 'SHELL', 'PATH']);

/** Evaluates the current config with the variables that the service will have: a service with an invalid config is not installed. */
async function checkedPlan(context: Context, options: ServiceOptions, part: Part): Promise<CheckedPlan> {
  const { environment, common } = context;
  const file = variablesFile(environment.cwd, options);
  const given = file === null ? {} : variablesIn(file);
  // Like `node --env-file`, which starts the service: variables that are already set stay.
  for (const [name, value] of Object.entries(given)) process.env[name] ??= value;
  const { loadConfigFile } = await import('../../config/load.ts');
  const { config, variables, ...loaded } = await loadConfigFile({ configFile: common.config, cwd: environment.cwd });
  const dataDir = part === 'hub' ? config.hub?.dataDir : config.sidecar?.dataDir;
  if (dataDir === undefined) throw new AgentcomError('AC_CONFIG_INVALID', `${loaded.file} has no "${part}" section.`);
  const archiveDir = part === 'hub' ? (config.hub?.archiveDir ?? null) : null;
  const plan = planOf(context, options, { part, agentId: config.sidecar?.agentId, file: loaded.file, dataDir, archiveDir });
  const read = new Set([...variables.keys(), ...READ_ANYWAY[part]]);
  const isLost = (name: string): boolean => !(name in given) && !OF_EVERY_SERVICE.has(name) && (process.env[name] ?? '') !== '';
  const missing = [...read].filter(isLost);
  const note =
    `The service does not get these variables of your shell, which its config reads: ${missing.join(', ')}. ` +
    'Write them into a file, one NAME=value per line, and pass --variables FILE.';
  return { plan, notes: missing.length === 0 ? [] : [note] };
}

/** The plan of an installed service: its name suffices, even if its config is gone. */
async function namedPlan(context: Context, options: ServiceOptions, part: Part): Promise<ServicePlan> {
  if (part === 'sidecar' && options.name === undefined) return (await checkedPlan(context, options, part)).plan;
  const { cwd } = context.environment;
  return planOf(context, options, { part, agentId: undefined, file: cwd, dataDir: cwd, archiveDir: null });
}

interface Serving {
  readonly part: Part;
  readonly agentId: string | undefined;
  /** The config. */
  readonly file: string;
  readonly dataDir: string;
  readonly archiveDir: string | null;
}

function planOf(
  { environment }: Context,
  options: ServiceOptions,
  { part, agentId = '', file, dataDir, archiveDir }: Serving,
): ServicePlan {
  const preset = part === 'hub' ? 'agentcom-hub' : `agentcom-sidecar-${agentId}`;
  const name = options.name ?? preset;
  if (!NAME.test(name)) throw wrongValue('a name of letters, digits, ".", "_" and "-", at most 100', name);
  const command = join(PACKAGE_ROOT, 'apps', 'cli', 'bin.mjs');
  if (/[\\/]_npx[\\/]/.test(command))
    throw new AgentcomError('AC_SERVICE', `${command} is in npm's cache, which npm may clear.`, {
      hint: `Install the package in a folder first: npm install ./agentcom-${VERSION}.tgz`,
    });
  const variables = variablesFile(environment.cwd, options);
  const plan: ServicePlan = {
    part,
    name,
    description: part === 'hub' ? 'AgentCom hub' : `AgentCom sidecar of ${agentId}`,
    argv: [process.execPath, ...(variables === null ? [] : [`--env-file=${variables}`]), command, part, '--config', file],
    folder: dirname(file),
    dataDir,
    archiveDir,
    environment: {
      // A service manager's own PATH has hardly any programs; agents are found through this one.
      PATH: servicePath(environment.env['PATH'] ?? ''),
      MALLOC_ARENA_MAX: '2',
      MALLOC_TRIM_THRESHOLD_: '131072',
    },
    runAs: options.runAs ?? null,
  };
  for (const [what, text] of [
    ...plan.argv.map((each) => ['the command line', each] as const),
    ['PATH', plan.environment['PATH'] ?? ''] as const,
    ['the data directory', plan.dataDir] as const,
    ['the folder of the archive', plan.archiveDir ?? ''] as const,
  ])
    if (/[\u0000-\u001f\u007f]/.test(text)) throw wrongValue(`${what} without control characters`, text);
  if (options.runAs !== undefined && !NAME.test(options.runAs)) throw wrongValue('the name of a user', options.runAs);
  return plan;
}

/** npx prepends a folder for every parent folder, even if it does not exist: a program put there later would run as the service. */
function servicePath(path: string): string {
  const folders = path.split(delimiter).filter((folder) => isAbsolute(folder) && existsSync(folder) && !folder.endsWith('node-gyp-bin'));
  return [...new Set(folders)].join(delimiter);
}

function variablesFile(cwd: string, { envFile, variables = envFile }: ServiceOptions): string | null {
  if (variables === undefined) return null;
  const file = resolve(cwd, variables);
  if (!existsSync(file)) throw new AgentcomError('AC_USAGE', `There is no ${file}.`, { hint: 'Correct --variables.' });
  return file;
}

function variablesIn(file: string): ReturnType<typeof parseEnv> {
  try {
    return parseEnv(readFileSync(file, 'utf8'));
  } catch (cause) {
    throw new AgentcomError('AC_USAGE', `Cannot read ${file}: ${fileReasonOf(cause)}.`, { cause, hint: 'Correct --variables.' });
  }
}

const installer = (env: Context['environment']['env']): Installer => {
  const { username, uid, homedir } = userInfo();
  return { home: folderIn(env['HOME']) ?? homedir, uid, userName: username, configHome: folderIn(env['XDG_CONFIG_HOME']) };
};

/** The XDG specification: a variable that is empty or not an absolute path counts as unset. */
const folderIn = (variable: string | undefined): string | undefined =>
  variable !== undefined && isAbsolute(variable) ? variable : undefined;
