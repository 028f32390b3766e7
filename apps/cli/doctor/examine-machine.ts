/** What a sidecar's machine needs besides a valid journal: a writable folder, disk space, a hub, a clock. */
import { constants } from 'node:fs';
import { access, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { readSecretFile } from '../../data-dir.ts';
import { apiUrlOf } from '../../sidecar/enrolment.ts';
import type { ResolvedSidecarConfig } from '../../../core/config/config.ts';
import { messageOf } from '../../../core/errors/agentcom-error.ts';
import { proveHub } from './prove-hub.ts';

export type MachineCheck = 'data_dir' | 'disk_full' | 'hub_away' | 'hub_proof' | 'token' | 'clock';

export interface MachineFinding {
  readonly check: MachineCheck;
  readonly what: string;
}

/** Time limit for each check of the hub, milliseconds. */
const CHECK_WITHIN_MS = 5_000;
/** With less, a sidecar cannot recreate its reserve, bytes. */
const FREE_BYTES_MIN = 16_777_216;
const MINUTE_MS = 60_000;

/** Everything that keeps the sidecar from working here. Each check ends within 5 s; what cannot be checked yet is skipped. */
export async function examineMachine(sidecar: ResolvedSidecarConfig): Promise<readonly MachineFinding[]> {
  const [disk, hub] = await Promise.all([ofDataDir(sidecar.dataDir), ofHub(sidecar)]);
  return [...disk, ...hub];
}

async function ofDataDir(dataDir: string): Promise<readonly MachineFinding[]> {
  try {
    const { bavail, bsize } = await statfs(dataDir);
    const freeBytes = bavail * bsize;
    await access(dataDir, constants.R_OK | constants.W_OK | constants.X_OK);
    if (freeBytes >= FREE_BYTES_MIN) return [];
    return [{ check: 'disk_full', what: `only ${Math.floor(freeBytes / 1_048_576)} MiB are free on the disk of ${dataDir}` }];
  } catch (thrown) {
    // A sidecar creates its folder at its first start; a missing one is reported with the journal.
    if (isMissing(thrown)) return [];
    return [{ check: 'data_dir', what: `${dataDir} cannot be written by this user: ${messageOf(thrown)}` }];
  }
}

const isMissing = (thrown: unknown): boolean => thrown instanceof Error && 'code' in thrown && thrown.code === 'ENOENT';

/** Asks all hubs at once; the first one that answers decides about token and clock. */
async function ofHub(sidecar: ResolvedSidecarConfig): Promise<readonly MachineFinding[]> {
  const token = sidecar.token ?? (await readSecretFile(join(sidecar.dataDir, 'token')));
  const answers = await Promise.allSettled(sidecar.hubs.map((hub) => askHub(hub, token, sidecar)));
  const answer = answers.find(({ status }) => status === 'fulfilled');
  if (answer?.status === 'fulfilled') return answer.value;
  const tried = answers.map((one, index) => `${sidecar.hubs[index]}: ${one.status === 'rejected' ? reasonOf(one.reason) : ''}`);
  return [{ check: 'hub_away', what: `no hub answers (${tried.join('; ')})` }];
}

/** The token is not sent to a hub that has not proved that it knows it, unless the config allows that. */
async function askHub(hub: string, token: string | null, sidecar: ResolvedSidecarConfig): Promise<readonly MachineFinding[]> {
  const url = apiUrlOf(hub);
  const { agentId } = sidecar;
  // Without a token it enrols at its first start.
  if (token === null) {
    await ask(url, '/health', {});
    return [];
  }
  if (sidecar.plainToken) return await askWithToken(url, token, sidecar);
  const proof = await proveHub({ url: hub, agentId, token }, CHECK_WITHIN_MS);
  if (proof === 'older')
    return [
      {
        check: 'hub_proof',
        what: `the hub at ${url} cannot prove that it knows the token of agent ${agentId}: it is an older version, or not a hub`,
      },
    ];
  if (proof === 'not_proved') {
    const why = 'another hub issued it, or it was revoked, or it belongs to another agent';
    return [{ check: 'token', what: `the hub at ${url} does not know the token of agent ${agentId}: ${why}` }];
  }
  const askedAtMs = Date.now();
  return ofClock((await ask(url, '/health', {})).answer, askedAtMs, sidecar);
}

async function askWithToken(url: string, token: string, sidecar: ResolvedSidecarConfig): Promise<readonly MachineFinding[]> {
  const { agentId } = sidecar;
  const askedAtMs = Date.now();
  const { status, answer } = await ask(url, '/api/whoami', { authorization: `Bearer ${token}` });
  if (status === 401) return [{ check: 'token', what: `the hub at ${url} refuses the token of agent ${agentId}` }];
  if (status !== 200) throw new Error(`it answers with ${status}`);
  const found: MachineFinding[] = [];
  if (answer['role'] !== 'agent' || answer['agent_id'] !== agentId) {
    const whose = answer['role'] === 'agent' ? `agent ${String(answer['agent_id'])}` : `a ${String(answer['role'])}`;
    found.push({ check: 'token', what: `the token of agent ${agentId} belongs to ${whose}` });
  }
  return [...found, ...ofClock(answer, askedAtMs, sidecar)];
}

type Answer = Readonly<Record<string, unknown>>;

async function ask(
  url: string,
  path: string,
  headers: Readonly<Record<string, string>>,
): Promise<{ readonly status: number; readonly answer: Answer }> {
  const response = await fetch(`${url}${path}`, { headers, redirect: 'error', signal: AbortSignal.timeout(CHECK_WITHIN_MS) });
  const answer: unknown = await response.json();
  return { status: response.status, answer: typeof answer === 'object' && answer !== null ? (answer as Answer) : {} };
}

function ofClock(answer: Answer, askedAtMs: number, { timing }: ResolvedSidecarConfig): readonly MachineFinding[] {
  // Halfway between request and answer.
  const hereMs = (askedAtMs + Date.now()) / 2;
  const behindMs = typeof answer['server_time'] === 'number' ? answer['server_time'] - hereMs : 0;
  if (Math.abs(behindMs) <= timing.clockOffMaxMs) return [];
  const minutes = Math.round(Math.abs(behindMs) / MINUTE_MS);
  return [{ check: 'clock', what: `this machine's clock is ${minutes} min ${behindMs > 0 ? 'behind' : 'ahead of'} the hub's` }];
}

/** `fetch` only says "fetch failed"; the reason is in its cause. */
const reasonOf = (thrown: unknown): string => messageOf(thrown instanceof Error && thrown.cause instanceof Error ? thrown.cause : thrown);
