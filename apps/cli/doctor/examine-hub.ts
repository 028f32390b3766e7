/** The hub of the config: its data directory, its storage, and its port. Works while the hub runs, and when it is stopped. */
import { once } from 'node:events';
import { readdir } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { checkStore, type CheckProgress } from '../../../core/application/doctor/check-store.ts';
import type { ResolvedHubConfig } from '../../../core/config/config.ts';
import { AgentcomError } from '../../../core/errors/agentcom-error.ts';
import type { StoreInspection } from '../../../core/ports/store-inspection.ts';
import { systemClock } from '../../../adapters/clock-system/system-clock.ts';
import { systemDigest } from '../../../adapters/ids-system/system-digest.ts';
import { listenFailure } from '../../../adapters/kit/listen-failure.ts';
import type { HubTrust } from '../../../adapters/kit/trusted-hub.ts';
import { checkPair, fingerprintIn, readPair } from '../../tls/certificate-files.ts';
import { EXPIRES_SOON_MS } from '../../tls/served-certificate.ts';
import { hubUrls } from '../../hub/urls.ts';
import { hubKnowsSecret } from '../../enrol.ts';
import { readSecretFile } from '../../data-dir.ts';
import { VERSION } from '../../version.ts';
import { askHub, type HubAnswer } from './ask-hub.ts';
import { examineFolder } from './examine-folder.ts';
import { finding, findingOf, type Examined, type ExamineOptions } from './finding.ts';
import { degradedFinding } from './hub-findings.ts';

/** What a hub writes to its disk before the log is copied into the database, bytes: with less free space it soon stops. */
const FREE_BYTES_MIN = 67_108_864;
const READ_LOG =
  'Read the log of the hub: `storage cannot commit` says why, such as a full disk, or another program that locks the database.';
/** The agent ID with which the hub is asked whether it knows its own enrollment secret; nothing is enrolled. */
const ASKING_AS = 'agentcom-doctor';

export interface ExaminedHub extends Examined {
  /** Whether something else listens on its port. */
  readonly isPortTaken: boolean;
  /** Whether the hub is running. */
  readonly isRunning: boolean;
}

export async function examineHub(hub: ResolvedHubConfig, options: ExamineOptions): Promise<ExaminedHub> {
  const { dataDir, storage } = hub;
  const place = storage.capabilities['shared'] === true ? `storage ${storage.name}` : `storage ${storage.name} in ${dataDir}`;
  const setting = 'hub.dataDir';
  const { state, findings } = await examineFolder({ dataDir, setting, freeBytesMin: FREE_BYTES_MIN, more: {} });
  for (const found of findings) options.onFinding(found);
  const wasStarted = state === 'usable' && (await readdir(dataDir)).length > 0;
  const isNew = state === 'missing' || (state === 'usable' && !wasStarted);
  const seen = [...(state === 'unusable' ? [] : [await examineStorage(hub, isNew, options)])];
  if (state === 'usable') await examineSecrets(hub, options);
  const isCertificateUsable = await examineCertificate(hub, options);
  const port = await examinePort(hub, { isDataReadable: state !== 'unusable', isCertificateUsable }, options);
  return { what: `hub: ${place}`, seen: [...seen, `folder, disk${hub.tls === null ? '' : ', certificate'} and port`].join('; '), ...port };
}

/** Returns what was examined. */
async function examineStorage({ storage, dataDir }: ResolvedHubConfig, isNew: boolean, options: ExamineOptions): Promise<string> {
  const { fsck, onFinding, onProgress } = options;
  const clock = systemClock();
  const noStorage = (): string => {
    onFinding(finding('hub_never_started', `there is nothing in ${dataDir}: no hub was started on it yet`));
    return 'no storage yet';
  };
  if (storage.check !== undefined) {
    try {
      for (const found of await storage.check({ clock })) onFinding(finding(found.check, found.what));
    } catch (thrown) {
      onFinding(findingOf('storage', thrown));
      return 'nothing';
    }
  }
  if (storage.inspect === undefined) {
    if (storage.capabilities['durable'] === true) onFinding(finding('not_checked', `the doctor cannot inspect storage ${storage.name}`));
    else onFinding(finding('not_kept', `storage ${storage.name} stores nothing permanently`));
    return storage.check === undefined ? 'nothing' : 'server';
  }
  // The store may be somewhere else than in the data directory.
  let inspection: StoreInspection;
  try {
    inspection = await storage.inspect({ dataDir, clock });
  } catch (thrown) {
    if (isNew && AgentcomError.is(thrown) && thrown.details?.['hasStore'] === false) return noStorage();
    onFinding(findingOf('storage', thrown));
    return 'nothing';
  }
  try {
    if (!fsck) {
      const schema = await inspection.schema();
      const pages = schema.length > 0 ? null : await inspection.quick();
      for (const { check, ...found } of [...schema, ...(pages ?? [])]) onFinding(finding(check, found.what));
      return `schema${pages === null ? '' : ' and file pages'}; --fsck reads every row`;
    }
    let seen = 'schema';
    const onCounts: CheckProgress = ({ tasks, events, entries }) =>
      onProgress((seen = `${tasks} tasks, ${events} events, ${entries} entries of the audit log`));
    const { sha256 } = systemDigest();
    for await (const { check, what, taskId, agentId } of checkStore(inspection, { nowMs: Date.now(), sha256 }, onCounts))
      onFinding(finding(check, what, { taskId, agentId }));
    return seen;
  } catch (thrown) {
    onFinding(findingOf('storage', thrown));
    return 'in part';
  } finally {
    await inspection.close();
  }
}

/** The files that the hub reads when it starts: it does not start if others can read them, or if it cannot. */
async function examineSecrets({ dataDir, adminToken }: ResolvedHubConfig, { onFinding }: ExamineOptions): Promise<void> {
  for (const name of [...(adminToken === undefined ? ['admin-token'] : []), 'session-key'])
    await readSecretFile(join(dataDir, name)).catch((thrown: unknown) => onFinding(findingOf('secret_file', thrown)));
}

/** Returns whether the hub can serve with it. */
async function examineCertificate({ tls }: ResolvedHubConfig, { onFinding }: ExamineOptions): Promise<boolean> {
  if (tls === null) return true;
  try {
    const { expiresAtMs } = checkPair(await readPair(tls), tls, Date.now());
    if (expiresAtMs - Date.now() > EXPIRES_SOON_MS) return true;
    onFinding(finding('certificate_expires', `the certificate in ${tls.certFile} expires on ${new Date(expiresAtMs).toISOString()}`));
    return true;
  } catch (thrown) {
    onFinding(findingOf('certificate', thrown));
    return false;
  }
}

/** The hub is recognized by the key in its own certificate; problems with the certificate are found separately. */
async function ownTrust({ tls }: ResolvedHubConfig): Promise<HubTrust> {
  return tls === null
    ? {}
    : fingerprintIn(tls.certFile).then(
        (fingerprint) => ({ fingerprints: [fingerprint] }),
        () => ({}),
      );
}

/** Checks that either the hub of this data directory listens on the port, or no process does and it could. */
async function examinePort(
  hub: ResolvedHubConfig,
  { isDataReadable, isCertificateUsable }: { readonly isDataReadable: boolean; readonly isCertificateUsable: boolean },
  { onFinding, file }: ExamineOptions,
): Promise<Pick<ExaminedHub, 'isPortTaken' | 'isRunning'>> {
  const { host, port, dataDir } = hub;
  const free = { isPortTaken: false, isRunning: false };
  if (port === 0) return free;
  const address = `${host}:${port}`;
  const { api: url } = hubUrls({ host, port, isTls: hub.tls !== null });
  const tls = await ownTrust(hub);
  const answer = await askHub(url, tls);
  const hint =
    `Stop that program (\`${listenerCommand(port)}\` names it), or let the hub listen on another port: ` +
    `hub: { listen: { port: ${port === 65_535 ? port - 1 : port + 1} } } in ${file}. Sidecars then need that port in sidecar.hubs.`;
  if (answer.kind === 'hub') {
    if (!isDataReadable) return free; // It is impossible to tell whose hub that is, and the folder is a finding.
    if (await isHubOf(dataDir, url, tls)) {
      const degraded = degradedFinding(answer, url, { hint: READ_LOG });
      if (degraded !== null) onFinding(degraded);
      if (answer.version !== VERSION)
        onFinding(finding('hub_version', `the running hub is version ${answer.version}, installed is ${VERSION}`));
      return { isPortTaken: false, isRunning: true };
    }
    const what = `${address} is taken by another hub (version ${answer.version}), whose data is not in ${dataDir}`;
    onFinding(finding('port_taken', what, { hint }));
    return { isPortTaken: true, isRunning: false };
  }
  if ((answer.kind === 'silent' || answer.kind === 'certificate') && (await hasEnrolSecret(dataDir))) {
    const probably = `It is probably the hub of ${dataDir}, which`;
    const what =
      answer.kind === 'silent'
        ? `the program that listens on ${address} gives ${answer.why}. ${probably} hangs or is very busy`
        : `the program that listens on ${address} ${answer.why}. ${probably} serves another certificate than hub.listen.tls.certFile now has`;
    const restart = `Check the hub's log. \`${listenerCommand(port)}\` names the process: if it is the hub, restart it. If it is not: s`;
    // A running hub keeps its certificate while the files cannot be used, which is a finding already.
    if (answer.kind === 'silent' || isCertificateUsable) onFinding(finding('port_taken', what, { hint: `${restart}${hint.slice(1)}` }));
    return { isPortTaken: true, isRunning: false };
  }
  if (answer.kind !== 'away') {
    onFinding(finding('port_taken', `${address} is taken by another program: ${saidBy(answer)}`, { hint }));
    return { isPortTaken: true, isRunning: false };
  }
  const failure = await failureToListen(host, port);
  if (failure === null) return free;
  onFinding(AgentcomError.is(failure, 'AC_PORT_BUSY') ? findingOf('port_taken', failure, { hint }) : findingOf('listen', failure));
  return { ...free, isPortTaken: true };
}

function saidBy(answer: Exclude<HubAnswer, { kind: 'hub' | 'away' }>): string {
  if (answer.kind === 'other') return `it ${answer.what}`;
  if (answer.kind === 'certificate') return `it ${answer.why}`;
  if (answer.kind === 'silent') return answer.why;
  if (answer.kind === 'name') return 'it does not know the name of this address';
  return answer.speaks === 'https' ? 'it speaks TLS, and hub.listen.tls is not set' : 'it speaks plain HTTP, and hub.listen.tls is set';
}

/** The command that shows which process listens on the port. */
export function listenerCommand(port: number, platform: string = process.platform): string {
  if (platform === 'win32') return `netstat -ano -p TCP | findstr :${port}`;
  return platform === 'linux' ? `ss -ltnp 'sport = :${port}'` : `lsof -nP -iTCP:${port} -sTCP:LISTEN`;
}

/** A running hub keeps a secret in its data directory and renews it when it is used, so one that was just replaced is read again once. */
async function isHubOf(dataDir: string, url: string, tls: HubTrust): Promise<boolean> {
  for (let tries = 0; tries < 2; tries += 1) {
    const secret = await readSecretFile(join(dataDir, 'enrol-secret')).catch(() => null); // The folder is examined separately.
    if (secret === null) continue;
    const answer = await hubKnowsSecret(url, { agentId: ASKING_AS, secret, tls }).catch(() => 'older' as const); // For example, a busy hub.
    if (answer !== 'not_proved') return true;
  }
  return false;
}

/** A hub removes the secret when it stops. */
const hasEnrolSecret = (dataDir: string): Promise<boolean> =>
  readSecretFile(join(dataDir, 'enrol-secret')).then(
    (secret) => secret !== null,
    () => false, // The folder is examined separately.
  );

/** Tries to listen for a moment, on a port where nothing was listening just now. Null if it can. */
async function failureToListen(host: string, port: number): Promise<AgentcomError | null> {
  const server = createServer((socket) => socket.destroy());
  try {
    await once(server.listen({ host, port, exclusive: true }), 'listening');
    server.close();
    await once(server, 'close');
    return null;
  } catch (thrown) {
    return listenFailure(thrown, { host, port });
  }
}
