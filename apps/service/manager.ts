/** The service manager of this platform: installs, shows and removes a hub or a sidecar. */
import { execFile } from 'node:child_process';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { dirname, isAbsolute } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { AgentcomError, messageOf } from '../../core/errors/agentcom-error.ts';
import { launchdUnit } from './launchd.ts';
import { WRITTEN_BY, type Installer, type ServicePlan, type ServiceUnit } from './service-plan.ts';
import { systemdUnit } from './systemd.ts';
import { windowsTask } from './windows.ts';

/** How long a command of the service manager may take. Milliseconds. */
const COMMAND_MS = 60_000;
/** How long a service may take to stop, and how often that is checked, since no service manager reports it. Milliseconds. */
const STOP_MS = 30_000;
const STOP_CHECK_MS = 200;
const OUTPUT_BYTES_MAX = 1_048_576;

/** Fails with `AC_SERVICE` on a platform without a service manager that we know. */
export function unitFor(platform: string, plan: ServicePlan, installer: Installer): ServiceUnit {
  if (platform === 'linux') return systemdUnit(plan, installer);
  if (platform === 'darwin') return launchdUnit(plan, installer);
  if (platform !== 'win32')
    throw new AgentcomError(
      'AC_SERVICE',
      `This command supports no service manager on ${platform}: expected Linux with systemd, macOS or Windows.`,
    );
  if (plan.runAs === null) return windowsTask(plan);
  throw new AgentcomError('AC_SERVICE', 'On Windows a service runs for the user who installs it.', { hint: 'Leave out --run-as.' });
}

/** Replaces what an earlier call installed, and starts it. */
export async function install(unit: ServiceUnit, env: Env): Promise<void> {
  const isThere = await mustBeOurs(unit);
  try {
    if (unit.logFolder !== null) await mkdir(unit.logFolder, { recursive: true, mode: 0o700 });
    await mkdir(dirname(unit.file), { recursive: true });
    await writeFile(unit.file, unit.text, { encoding: unit.encoding, mode: 0o644 });
  } catch (cause) {
    throw new AgentcomError('AC_SERVICE', `Cannot write ${unit.file}: ${messageOf(cause)}.`, {
      cause,
      hint: 'With --run-as, run this command as root.',
    });
  }
  if (isThere) await stop(unit, env);
  for (const line of unit.install) await mustRun(line, env);
}

export interface OtherUnit {
  readonly file: string;
  /** Its user; null: it is not one of the system. */
  readonly runAs: string | null;
  /** The user whose it is, if it is not one of the system and not of the installer. */
  readonly owner?: string;
}

/**
 * The unit of this name that another kind of install wrote: of the system beside one of the user, or the other way around. Null: there is none.
 */
export async function otherUnit(platform: string, plan: ServicePlan, installer: Installer, homeOf = homeOfUser): Promise<OtherUnit | null> {
  if (platform === 'win32') return null;
  const found = await otherUnitOf(platform, plan, installer);
  const owner = plan.runAs;
  // Only root can install one of the system, and read the folders of all users.
  if (found !== null || owner === null || owner === installer.userName || installer.uid !== 0) return found;
  const home = await homeOf(owner);
  const ofOwner = home === null ? null : await otherUnitOf(platform, plan, { home, uid: installer.uid, userName: owner });
  return ofOwner === null ? null : { ...ofOwner, owner };
}

async function otherUnitOf(platform: string, plan: ServicePlan, installer: Installer): Promise<OtherUnit | null> {
  // The file of a unit of the system does not depend on its user.
  const unit = unitFor(platform, { ...plan, runAs: plan.runAs === null ? installer.userName : null }, installer);
  const { file } = unit;
  const text = await textOf(unit);
  if (text?.includes(WRITTEN_BY) !== true) return null;
  const [, ofSystemd, ofLaunchd] = /^User=(.+)$|<key>UserName<\/key>\s*<string>([^<]+)</m.exec(text) ?? [];
  return { file, runAs: ofSystemd ?? ofLaunchd ?? null };
}

/** As the shell looks it up, since Node cannot. Null: there is no such user. */
export async function homeOfUser(user: string): Promise<string | null> {
  if (!USER.test(user)) return null;
  const home = (await run(['sh', '-c', `printf %s ~${user}`], process.env)).output;
  return isAbsolute(home) ? home : null;
}

/** Whether this machine has such a user. */
export const isUser = async (user: string): Promise<boolean> => (await run(['id', '-u', '--', user], process.env)).code === 0;

/** Names that a shell takes as they are. */
const USER = /^[A-Za-z0-9][A-Za-z0-9._-]*$/;

/** Stops and removes it. False: it was not installed. */
export async function uninstall(unit: ServiceUnit, env: Env): Promise<boolean> {
  if (!(await mustBeOurs(unit))) return false;
  await stop(unit, env);
  for (const line of unit.uninstall) await run(line, env);
  await rm(unit.file, { force: true });
  for (const line of unit.afterUninstall) await mustRun(line, env);
  return true;
}

async function stop({ stop: line, isLoaded }: ServiceUnit, env: Env): Promise<void> {
  if (line === null) return;
  const stopped = await run(line, env);
  const untilMs = performance.now() + STOP_MS;
  while (isLoaded !== null && (await run(isLoaded, env)).code === 0) {
    if (performance.now() > untilMs)
      throw new AgentcomError('AC_SERVICE', `"${line.join(' ')}" did not stop it within ${STOP_MS / 1_000} s: ${wordsOf(stopped)}`);
    await setTimeout(STOP_CHECK_MS);
  }
}

/** What the service manager says about it, and the exit code of the service manager's program. */
export const statusOf = (unit: ServiceUnit, env: Env): Promise<Ran> => run(unit.status, env);

/** What the file of the unit has now; null if it does not exist. */
const textOf = ({ file, encoding }: ServiceUnit): Promise<string | null> =>
  readFile(file, encoding).catch((thrown: NodeJS.ErrnoException) => {
    if (thrown.code === 'ENOENT') return null;
    throw new AgentcomError('AC_SERVICE', `Cannot read ${file}: ${thrown.message}.`, { cause: thrown });
  });

/** Whether the file of the unit exists; fails with `AC_SERVICE` if another program wrote it. */
async function mustBeOurs(unit: ServiceUnit): Promise<boolean> {
  const text = await textOf(unit);
  if (text === null || text.includes(WRITTEN_BY)) return text !== null;
  throw new AgentcomError('AC_SERVICE', `${unit.file} was not written by this command, and was not changed.`, {
    hint: 'Move it away, or choose another --name.',
  });
}

/** The environment of the service manager's programs. */
type Env = Readonly<Record<string, string | undefined>>;

interface Ran {
  readonly code: number;
  readonly output: string;
}

const wordsOf = ({ output }: Ran): string => output.trim() || 'it said nothing';

async function mustRun(line: ServiceUnit['status'], env: Env): Promise<void> {
  const ran = await run(line, env);
  if (ran.code !== 0) throw new AgentcomError('AC_SERVICE', `"${line.join(' ')}" failed with ${ran.code}: ${wordsOf(ran)}`);
}

function run([program, ...args]: ServiceUnit['status'], env: Env): Promise<Ran> {
  return new Promise((resolve, reject) => {
    execFile(program, args, { env, timeout: COMMAND_MS, maxBuffer: OUTPUT_BYTES_MAX, windowsHide: true }, (error, stdout, stderr) => {
      if (error !== null && typeof error.code !== 'number')
        return reject(
          new AgentcomError('AC_SERVICE', `Cannot run ${program}: ${error.message}.`, {
            cause: error,
            hint: 'Print the unit with "agentcom service print", and install it by hand.',
          }),
        );
      resolve({ code: typeof error?.code === 'number' ? error.code : 0, output: `${stdout}${stderr}` });
    });
  });
}
