/**
 * Processes from `ps`, for systems without /proc (macOS, BSD). Start times have a resolution of one second.
 * Environments are not visible, so a process that left both its parent and the run's group is not found.
 */
import { execFile, execFileSync } from 'node:child_process';
import { promisify } from 'node:util';
import { AgentcomError, messageOf } from '../../../core/errors/agentcom-error.ts';
import type { ProcessRow, ProcessTable } from './process-table.ts';

const COLUMNS = ['-o', 'pid=,ppid=,pgid=,stat=,lstart='];
const PS_WITHIN_MS = 5_000;
/** Output of `ps`; enough for over 50,000 processes. */
const PS_BYTES_MAX = 8 * 1024 * 1024;
const psOptions = () =>
  ({
    encoding: 'utf8',
    timeout: PS_WITHIN_MS,
    maxBuffer: PS_BYTES_MAX,
    // A fixed time zone, so that travel or daylight saving time does not change start times.
    env: { PATH: process.env['PATH'], LC_ALL: 'C', TZ: 'UTC' },
  }) as const;

export function psProcessTable(): ProcessTable {
  return {
    bootId: null,
    cgroups: null,
    seesRunIds: false,
    async list() {
      try {
        const { stdout } = await promisify(execFile)('ps', ['-ax', ...COLUMNS], psOptions());
        return parsePs(stdout).filter((row) => !row.isZombie);
      } catch (error) {
        throw unusable(error);
      }
    },
    find(pid) {
      try {
        const stdout = execFileSync('ps', ['-p', String(pid), ...COLUMNS], { ...psOptions(), stdio: ['ignore', 'pipe', 'ignore'] });
        return parsePs(stdout)[0] ?? null;
      } catch (error) {
        // `ps` exits with 1 if there is no such process.
        if ((error as { readonly status?: unknown }).status === 1) return null;
        throw unusable(error);
      }
    },
    carriersOf: () => Promise.resolve([]),
  };
}

/** Parses `ps -o pid=,ppid=,pgid=,stat=,lstart=`. */
function parsePs(output: string): readonly ProcessRow[] {
  return output.split('\n').flatMap((line) => {
    const match = /^\s*(\d+)\s+(\d+)\s+(\d+)\s+(\S+)\s+(\S.*?)\s*$/.exec(line);
    if (match === null) return [];
    const [, pid, parentPid, groupId, state = '', startTime = ''] = match;
    return [
      {
        pid: Number(pid),
        parentPid: Number(parentPid),
        groupId: Number(groupId),
        sessionId: null,
        startTime,
        isZombie: state.startsWith('Z'),
      },
    ];
  });
}

const unusable = (error: unknown): AgentcomError =>
  new AgentcomError(
    'AC_PACKAGE_MISSING',
    `Cannot list processes: "ps" failed (${messageOf(error)}). Install it; without it agents cannot be stopped.`,
    {
      cause: error,
    },
  );
