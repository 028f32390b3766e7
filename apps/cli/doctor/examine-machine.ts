/** What a sidecar's machine must have beside a sound journal: a folder to write to, a disk with room, a hub, a clock. */
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

/** A look at the hub takes no longer, milliseconds. */
const LOOK_WITHIN_MS = 5_000;
/** Below it a sidecar cannot take its reserve back, bytes. */
const FREE_BYTES_MIN = 16_777_216;
const MINUTE_MS = 60_000;

/** Everything that keeps the sidecar from working here. Each look ends within 5 s; what cannot be looked at yet is passed over. */
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
    return [{ check: 'disk_full', what: `only ${Math.floor(freeBytes / 1_048_576)} MiB are free where ${dataDir} is` }];
  } catch (thrown) {
    // A sidecar that was never started makes its folder by itself; that it is not there is said with its journal.
    if (isMissing(thrown)) return [];
    return [{ check: 'data_dir', what: `${dataDir} cannot be written by this user: ${messageOf(thrown)}` }];
  }
}

const isMissing = (thrown: unknown): boolean => thrown instanceof Error && 'code' in thrown && thrown.code === 'ENOENT';

/** Any hub of the list will do; what the first of them that answers says of token and clock counts. All are asked at once. */
async function ofHub(sidecar: ResolvedSidecarConfig): Promise<readonly MachineFinding[]> {
  const token = sidecar.token ?? (await readSecretFile(join(sidecar.dataDir, 'token')));
  const answers = await Promise.allSettled(sidecar.hubs.map((hub) => askHub(hub, token, sidecar)));
  const answer = answers.find(({ status }) => status === 'fulfilled');
  if (answer?.status === 'fulfilled') return answer.value;
  const tried = answers.map((one, index) => `${sidecar.hubs[index]}: ${one.status === 'rejected' ? reasonOf(one.reason) : ''}`);
  return [{ check: 'hub_away', what: `no hub answers (${tried.join('; ')})` }];
}

/** Nothing of the token goes to a hub that has not proved that it knows it, unless the config says so. */
async function askHub(hub: string, token: string | null, sidecar: ResolvedSidecarConfig): Promise<readonly MachineFinding[]> {
  const url = apiUrlOf(hub);
  const { agentId } = sidecar;
  // Without a token of its own it enrols at its first start.
  if (token === null) {
    await ask(url, '/health', {});
    return [];
  }
  if (sidecar.plainToken) return await askWithToken(url, token, sidecar);
  const proof = await proveHub({ url: hub, agentId, token }, LOOK_WITHIN_MS);
  if (proof === 'older')
    return [
      { check: 'hub_proof', what: `the hub at ${url} cannot prove that it knows the token of agent ${agentId}: it is older, or no hub` },
    ];
  if (proof === 'not_proved') {
    const why = 'it is not the hub that gave it, or the token was revoked or is that of another agent';
    return [{ check: 'token', what: `the hub at ${url} does not know the token of agent ${agentId}: ${why}` }];
  }
  const askedAtMs = Date.now();
  return ofClock((await ask(url, '/health', {})).said, askedAtMs, sidecar);
}

async function askWithToken(url: string, token: string, sidecar: ResolvedSidecarConfig): Promise<readonly MachineFinding[]> {
  const { agentId } = sidecar;
  const askedAtMs = Date.now();
  const { status, said } = await ask(url, '/api/whoami', { authorization: `Bearer ${token}` });
  if (status === 401) return [{ check: 'token', what: `the hub at ${url} refuses the token of agent ${agentId}` }];
  if (status !== 200) throw new Error(`it answers with ${status}`);
  const found: MachineFinding[] = [];
  if (said['role'] !== 'agent' || said['agent_id'] !== agentId) {
    const whose = said['role'] === 'agent' ? `agent ${String(said['agent_id'])}` : `a ${String(said['role'])}`;
    found.push({ check: 'token', what: `the token of agent ${agentId} is that of ${whose}` });
  }
  return [...found, ...ofClock(said, askedAtMs, sidecar)];
}

type Said = Readonly<Record<string, unknown>>;

async function ask(
  url: string,
  path: string,
  headers: Readonly<Record<string, string>>,
): Promise<{ readonly status: number; readonly said: Said }> {
  const answer = await fetch(`${url}${path}`, { headers, redirect: 'error', signal: AbortSignal.timeout(LOOK_WITHIN_MS) });
  const said: unknown = await answer.json();
  return { status: answer.status, said: typeof said === 'object' && said !== null ? (said as Said) : {} };
}

function ofClock(said: Said, askedAtMs: number, { timing }: ResolvedSidecarConfig): readonly MachineFinding[] {
  // As it was half-way between question and answer.
  const hereMs = (askedAtMs + Date.now()) / 2;
  const behindMs = typeof said['server_time'] === 'number' ? said['server_time'] - hereMs : 0;
  if (Math.abs(behindMs) <= timing.clockOffMaxMs) return [];
  const minutes = Math.round(Math.abs(behindMs) / MINUTE_MS);
  return [{ check: 'clock', what: `this machine's clock is ${minutes} min ${behindMs > 0 ? 'behind' : 'ahead of'} that of the hub` }];
}

/** What `fetch` says is "fetch failed"; why stands in its cause. */
const reasonOf = (thrown: unknown): string => messageOf(thrown instanceof Error && thrown.cause instanceof Error ? thrown.cause : thrown);
