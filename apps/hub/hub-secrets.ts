/** The hub's secrets on disk: the admin token and the session secret, created at the first start, and the current enrollment secret. */
import { unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { isAdminToken } from '../../core/config/config-schema.ts';
import { ENROL_SECRET_MS, type AgentStore } from '../../core/ports/agent-store.ts';
import type { Digest, Ids } from '../../core/ports/chance.ts';
import type { Clock, Timer } from '../../core/ports/clock.ts';
import type { Log } from '../../core/ports/log.ts';
import { AgentcomError } from '../../core/errors/agentcom-error.ts';
import { readSecretFile, writeSecretFile } from '../data-dir.ts';

/** A new enrollment secret is written this long before the old one expires, so that one that was just read can still be used. */
const RENEW_EARLY_MS = 60_000;

export interface HubSecrets {
  /** SHA-256 of the admin token, hexadecimal. */
  readonly adminTokenHash: string;
  /** Encrypts the session cookies of the dashboard. Kept on disk, so that a restart signs nobody out. */
  readonly sessionSecret: string;
  /** Fails with `AC_CONFIG_INVALID` if the admin token is a token of the store, whose holder would become an admin. Needs the open store. */
  checkAdminToken(): Promise<void>;
  /** Writes a new enrollment secret now and before each one expires. */
  startEnrolment(): Promise<void>;
  /** Call it when a secret was used: writes the next one. */
  renewEnrolment(): void;
  stop(): Promise<void>;
}

export interface HubSecretsDeps {
  readonly dataDir: string;
  readonly adminToken: string | undefined;
  readonly agents: AgentStore;
  readonly ids: Ids;
  readonly digest: Digest;
  readonly clock: Clock;
  readonly log: Log;
}

export async function hubSecrets(deps: HubSecretsDeps): Promise<HubSecrets> {
  const { dataDir, agents, ids, digest, clock, log } = deps;
  const enrolFile = join(dataDir, 'enrol-secret');
  let timer: Timer | null = null;
  let stopped = false;
  let writing: Promise<void> = Promise.resolve();

  const write = async (): Promise<void> => {
    const secret = ids.secret();
    await agents.addEnrolSecret(digest.sha256(secret), clock.nowMs() + ENROL_SECRET_MS);
    await writeSecretFile(enrolFile, secret);
  };
  const renew = (): void => {
    if (stopped) return;
    timer?.cancel();
    timer = clock.after(ENROL_SECRET_MS - RENEW_EARLY_MS, renew);
    writing = writing
      .then(write)
      .catch((error: unknown) => log.error('cannot write a new enrollment secret; sidecars on this machine cannot enroll', { error }));
  };

  const adminTokenHash = digest.sha256(await adminToken(deps));

  return {
    adminTokenHash,
    sessionSecret: await sessionSecret(deps),
    async checkAdminToken() {
      const token = await agents.findToken(adminTokenHash);
      if (token === undefined) return;
      throw new AgentcomError(
        'AC_CONFIG_INVALID',
        `AGENTCOM_ADMIN_TOKEN (or hub.adminToken) is the token ${token.id} of role ${token.role}; the hub would make its holder an admin.`,
        { hint: 'Unset it, or set it to a secret that is not a token in `agentcom tokens list`.' },
      );
    },
    async startEnrolment() {
      renew();
      await writing;
    },
    renewEnrolment: renew,
    async stop() {
      stopped = true;
      timer?.cancel();
      await writing;
      // Without a running hub the secret would only mislead the next sidecar that reads it.
      await unlink(enrolFile).catch((error: NodeJS.ErrnoException) => {
        if (error.code !== 'ENOENT') log.warn('cannot remove the enrollment secret', { error });
      });
    },
  };
}

async function adminToken({ dataDir, adminToken: given, ids, log }: HubSecretsDeps): Promise<string> {
  if (given !== undefined) return given;
  const file = join(dataDir, 'admin-token');
  const known = await readSecretFile(file);
  if (known !== null) {
    if (isAdminToken(known)) return known;
    throw new AgentcomError('AC_CONFIG_INVALID', `${file} does not hold an admin token: expected at least 32 visible ASCII characters.`, {
      hint: 'Delete the file to have a token created, or put such a secret into it.',
    });
  }
  const made = ids.secret();
  await writeSecretFile(file, made);
  log.info('created an admin token', { file });
  return made;
}

async function sessionSecret({ dataDir, ids }: HubSecretsDeps): Promise<string> {
  const file = join(dataDir, 'session-key');
  const known = await readSecretFile(file);
  if (known !== null) return known;
  const made = ids.secret();
  await writeSecretFile(file, made);
  return made;
}
