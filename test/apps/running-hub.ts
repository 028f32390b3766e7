/** A whole hub in this process, wired by its container like the program, on a free port; and agents that send what a test tells them to. */
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import 'reflect-metadata';
import { systemClock } from '../../adapters/clock-system/system-clock.ts';
import { systemDigest } from '../../adapters/ids-system/system-digest.ts';
import { wsLink } from '../../adapters/link-ws/ws-link.ts';
import { memory } from '../../adapters/storages.ts';
import { ws } from '../../adapters/transports.ts';
import { hubClient, type HubClient } from '../../apps/client/index.ts';
import { TOKENS } from '../../apps/container-tokens.ts';
import { hubContainer } from '../../apps/hub/main.ts';
import { hubServices } from '../../apps/hub/services.ts';
import { fingerprintIn, type CertificateFiles } from '../../apps/tls/certificate-files.ts';
import { Lifecycle } from '../../apps/lifecycle.ts';
import type { HubLimits } from '../../core/config/limits.ts';
import { resolveConfig } from '../../core/config/resolve.ts';
import type { HubTiming } from '../../core/config/times.ts';
import { AgentcomError } from '../../core/errors/agentcom-error.ts';
import type { AgentId } from '../../core/domain/ids.ts';
import { silentLog } from '../../core/ports/log.ts';
import type { Role } from '../../core/ports/agent-store.ts';
import type { Storage } from '../../core/ports/storage.ts';
import type { AnyFrame } from '../core/hub/hub-rig.ts';
import { aToken } from '../product/contracts/fixtures.ts';

export interface RunningHub {
  readonly url: string;
  readonly adminToken: string;
  /** With the admin token. */
  readonly api: HubClient;
  readonly storage: Storage;
  /** Creates a token of this role; that of an agent is for `agentId`. */
  token(role: Role, agentId?: string): Promise<string>;
  /** An identified agent with one slot. */
  agent(agentId: string, identify?: Readonly<Record<string, unknown>>): Promise<RunningAgent>;
  stop(): Promise<void>;
}

export interface RunningAgent {
  /** The next frame of this type that was not returned before. */
  frame(type: string): Promise<AnyFrame>;
  send(message: Readonly<Record<string, unknown>>): void;
  leave(): void;
}

export interface RunningHubOptions {
  readonly timing?: Partial<HubTiming>;
  readonly limits?: Partial<HubLimits>;
  /** How far its machine's clock is ahead of ours, in milliseconds. */
  readonly clockAheadMs?: number;
  /** Origins of pages that may call its API. */
  readonly origins?: readonly string[];
  /** Its certificate; without it, it serves plain HTTP. */
  readonly tls?: CertificateFiles;
  /** Further names of the hub. */
  readonly names?: readonly string[];
}

const ADMIN_TOKEN = 'an-admin-token-of-the-tests-0123456789';

export async function runningHub({
  timing = {},
  limits = {},
  clockAheadMs = 0,
  origins = [],
  tls,
  names = [],
}: RunningHubOptions = {}): Promise<RunningHub> {
  const folder = await mkdtemp(join(tmpdir(), 'agentcom-hub-'));
  const listen = { port: 0, origins, names, tls };
  const wanted = { listen, storage: memory(), transport: ws(), dataDir: folder, adminToken: ADMIN_TOKEN, timing, limits };
  const answer = resolveConfig({ hub: wanted }, { baseDir: folder, absolute: (path) => resolve(folder, path) });
  if (answer.kind !== 'resolved' || answer.config.hub === undefined) throw new AgentcomError('AC_INTERNAL', JSON.stringify(answer));
  await mkdir(answer.config.hub.dataDir, { recursive: true, mode: 0o700 });
  const container = hubContainer(answer.config.hub, silentLog);
  const clock = systemClock();
  container.rebind(TOKENS.Clock).toConstantValue({ ...clock, nowMs: () => clock.nowMs() + clockAheadMs });
  const lifecycle = new Lifecycle({ clock: systemClock(), log: silentLog });
  await lifecycle.start(await hubServices(container));
  const { port } = await container.getAsync(TOKENS.Hub);
  const storage = await container.getAsync(TOKENS.Storage);
  const trust = tls === undefined ? {} : { fingerprints: [await fingerprintIn(tls.certFile)] };
  const [url, socketUrl] = [
    `http${tls === undefined ? '' : 's'}://127.0.0.1:${port}`,
    `ws${tls === undefined ? '' : 's'}://127.0.0.1:${port}/ws`,
  ];
  const leaving: (() => void)[] = [];
  let made = 0;

  const token = async (role: Role, agentId?: string): Promise<string> => {
    made += 1;
    const text = `a-token-of-the-tests-${made}`;
    const record = { id: `tok-${made.toString(16).padStart(32, '0')}`, name: `${role}-${made}`, role, hash: systemDigest().sha256(text) };
    await storage.agents.addToken(aToken({ ...record, agentId: (agentId as AgentId | undefined) ?? null }));
    return text;
  };

  return {
    url,
    adminToken: ADMIN_TOKEN,
    api: hubClient({ url, token: ADMIN_TOKEN, tls: trust }),
    storage,
    token,
    async agent(agentId, identify = {}) {
      const frames: AnyFrame[] = [];
      let wake = (): void => undefined;
      const message = {
        type: 'identify',
        agent_id: agentId,
        token: await token('agent', agentId),
        protocol_version: 2,
        instance_id: 'machine-1',
      };
      const link = wsLink({ log: silentLog, trust }).connect(
        { url: socketUrl, frameBytesMax: 1 << 20 },
        {
          onOpen: () => void link.send(JSON.stringify({ ...message, held: [], ...identify })),
          onFrame(text) {
            frames.push(JSON.parse(text) as AnyFrame);
            wake();
          },
          onTaken: () => undefined,
          onGone: () => undefined,
        },
      );
      leaving.push(() => link.destroy());
      const frame = async (type: string): Promise<AnyFrame> => {
        for (;;) {
          const at = frames.findIndex((one) => one.type === type);
          const [found] = at < 0 ? [] : frames.splice(at, 1);
          if (found !== undefined) return found;
          await new Promise<void>((resolve) => (wake = resolve));
        }
      };
      await frame('identified');
      return { frame, send: (text) => void link.send(JSON.stringify(text)), leave: () => link.destroy() };
    },
    async stop() {
      for (const leave of leaving) leave();
      await lifecycle.stop();
      await rm(folder, { recursive: true, force: true, maxRetries: 5 });
    },
  };
}
