/** `agentcom tls`: the hub's own certificate. */
import { X509Certificate } from 'node:crypto';
import { isIP } from 'node:net';
import { unlink } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import type { Command } from 'commander';
import { fingerprintOf } from '../../../adapters/kit/hub-connection.ts';
import { makeFolders } from '../../../adapters/kit/platform-files.ts';
import { isLoopback } from '../../../core/config/loopback.ts';
import { AgentcomError, fileReasonOf } from '../../../core/errors/agentcom-error.ts';
import { makeDataDir } from '../../data-dir.ts';
import type { Action, Context } from '../cli-context.ts';
import { writeNewFile } from '../new-file.ts';
import { wrongValue } from '../wrong-value.ts';

/** How long a certificate is valid, milliseconds. Clients that have the fingerprint do not check its expiry; this is for the others. */
const VALID_MS = 3_650 * 86_400_000;
/** How far in the past it becomes valid, milliseconds, for clients whose clock is behind. */
const VALID_BEFORE_MS = 86_400_000;
const HOST = /^(?=.{1,253}$)(\*\.)?[a-z0-9_-]+(\.[a-z0-9_-]+)*$/i;

export function addTls(program: Command, action: Action): void {
  const tls = program.command('tls').description('Create a self-signed certificate for the hub, or print its fingerprint');
  tls
    .command('init [hosts...]')
    .description('Write a new key and a self-signed certificate for this hub, under the names and addresses that clients use')
    .action(action(init));
  tls
    .command('fingerprint')
    .description('Print the fingerprint of the key in hub.listen.tls.certFile, for sidecar.tls.fingerprints and AGENTCOM_HUB_FINGERPRINT')
    .action(action(printFingerprint));
}

async function init(context: Context, _options: object, given: readonly string[]): Promise<void> {
  const { output } = context;
  const { hub, baseDir, file } = await loadedHub(context);
  // A certificate has no place for the zone of an address (`fe80::1%eth0`).
  const wrong = given.find((host) => (isIP(host) === 0 || host.includes('%')) && !HOST.test(host));
  if (wrong !== undefined) throw wrongValue('host names and addresses without port or zone', wrong);
  const listening = isAny(hub.host) ? [] : [hub.host.replace(/%.*$/, '')];
  const hosts = [...new Set([...given, ...hub.names, ...listening, 'localhost', '127.0.0.1', '::1'])];
  if (!hosts.some((host) => !isLoopback(host))) {
    output.note('The certificate is for loopback only. For other machines, name the hosts: agentcom tls init hub.example.org');
  }
  const folder = join(hub.dataDir, 'tls');
  const { certFile, keyFile } = hub.tls ?? { certFile: join(folder, 'cert.pem'), keyFile: join(folder, 'key.pem') };
  await makeDataDir(hub.dataDir, 'set hub.dataDir');
  const { makeSelfSigned } = await import('../../tls/self-signed.ts');
  const nowMs = Date.now();
  const pair = makeSelfSigned({ hosts, validFromMs: nowMs - VALID_BEFORE_MS, validUntilMs: nowMs + VALID_MS });
  await writeNew(keyFile, pair.key);
  await writeNew(certFile, pair.cert).catch(async (thrown: unknown) => {
    await unlink(keyFile);
    throw thrown;
  });
  const fingerprint = fingerprintOf(new X509Certificate(pair.cert));
  output.data({ cert_file: certFile, key_file: keyFile, hosts, fingerprint });
  output.line(`${certFile} and ${keyFile}, for ${hosts.join(', ')}`);
  output.line(fingerprint);
  if (hub.tls === null) {
    const [cert, key] = [certFile, keyFile].map((each) => JSON.stringify(relative(baseDir, each)));
    output.note(`Now set in ${file}: hub: { listen: { tls: { certFile: ${cert}, keyFile: ${key} } } }, and restart the hub.`);
  }
  output.note(
    'Codes of "agentcom invite" then carry the fingerprint. For a machine that has joined already, set AGENTCOM_HUB_FINGERPRINT to it.',
  );
}

async function printFingerprint(context: Context): Promise<void> {
  const { hub, file } = await loadedHub(context);
  if (hub.tls === null) {
    throw new AgentcomError(
      'AC_USAGE',
      `The hub of ${file} has no certificate: hub.listen.tls is not set. To make one: agentcom tls init HOST.`,
    );
  }
  const { fingerprintIn } = await import('../../tls/certificate-files.ts');
  const fingerprint = await fingerprintIn(hub.tls.certFile);
  context.output.data({ cert_file: hub.tls.certFile, fingerprint });
  context.output.line(fingerprint);
}

async function loadedHub({ common, environment }: Context) {
  const { loadConfigFile } = await import('../../config/load.ts');
  const { config, file } = await loadConfigFile({ configFile: common.config, cwd: environment.cwd });
  if (config.hub !== undefined) return { hub: config.hub, baseDir: config.baseDir, file };
  throw new AgentcomError('AC_USAGE', `The config ${file} has no hub. Run this on the machine of the hub.`);
}

const isAny = (host: string): boolean => host === '0.0.0.0' || host === '::';

/** Replaces no file: other machines may rely on the fingerprint of the existing key. */
async function writeNew(file: string, text: string): Promise<void> {
  await makeFolders(dirname(file), 0o700).catch((cause: unknown) => {
    throw new AgentcomError('AC_USAGE', `Cannot write ${file}: ${fileReasonOf(cause)}.`, { cause });
  });
  await writeNewFile(file, text, { mode: 0o600, hint: 'To replace the key, move it away.' });
}
