/** What a sidecar's machine must have beside a sound journal: a folder to write to, a disk with room, a hub, a clock. */
import { constants } from 'node:fs';
import { access, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { readSecretFile } from '../../data-dir.ts';
import { apiUrlOf } from '../../sidecar/enrolment.ts';
import type { ResolvedSidecarConfig } from '../../../core/config/config.ts';
import { messageOf } from '../../../core/errors/agentcom-error.ts';

export type MachineCheck = 'data_dir' | 'disk_full' | 'hub_away' | 'token' | 'clock';

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
  const answers = await Promise.allSettled(sidecar.hubs.map((hub) => askHub(apiUrlOf(hub), token, sidecar)));
  const answer = answers.find(({ status }) => status === 'fulfilled');
  if (answer?.status === 'fulfilled') return answer.value;
  const tried = answers.map((one, index) => `${sidecar.hubs[index]}: ${one.status === 'rejected' ? reasonOf(one.reason) : ''}`);
  return [{ check: 'hub_away', what: `no hub answers (${tried.join('; ')})` }];
}

async function askHub(url: string, token: string | null, { agentId, timing }: ResolvedSidecarConfig): Promise<readonly MachineFinding[]> {
  const askedAtMs = Date.now();
  const answer = await fetch(`${url}${token === null ? '/health' : '/api/whoami'}`, {
    headers: token === null ? {} : { authorization: `Bearer ${token}` },
    redirect: 'error',
    signal: AbortSignal.timeout(LOOK_WITHIN_MS),
  });
  const said = (await answer.json()) as { readonly role?: unknown; readonly agent_id?: unknown; readonly server_time?: unknown };
  // Without a token of its own it enrols at its first start.
  if (token === null) return [];
  if (answer.status === 401) return [{ check: 'token', what: `the hub at ${url} refuses the token of agent ${agentId}` }];
  if (!answer.ok) throw new Error(`it answers with ${answer.status}`);
  const found: MachineFinding[] = [];
  if (said.role !== 'agent' || said.agent_id !== agentId) {
    const whose = said.role === 'agent' ? `agent ${String(said.agent_id)}` : `a ${String(said.role)}`;
    found.push({ check: 'token', what: `the token of agent ${agentId} is that of ${whose}` });
  }
  // As it was half-way between question and answer.
  const hereMs = (askedAtMs + Date.now()) / 2;
  const behindMs = typeof said.server_time === 'number' ? said.server_time - hereMs : 0;
  if (Math.abs(behindMs) > timing.clockOffMaxMs) {
    const minutes = Math.round(Math.abs(behindMs) / MINUTE_MS);
    found.push({ check: 'clock', what: `this machine's clock is ${minutes} min ${behindMs > 0 ? 'behind' : 'ahead of'} that of the hub` });
  }
  return found;
}

/** What `fetch` says is "fetch failed"; why stands in its cause. */
const reasonOf = (thrown: unknown): string => messageOf(thrown instanceof Error && thrown.cause instanceof Error ? thrown.cause : thrown);
