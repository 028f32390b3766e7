/** Chooses the hub and the token of a command: from options, then the environment, then the config. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { wrongAddress } from '../client/api-request.ts';
import { hubClient, type HubClient } from '../client/index.ts';
import type { HubTrust } from '../../adapters/kit/trusted-hub.ts';
import { hubUrls } from '../hub/urls.ts';
import { isLoopback } from '../../core/config/loopback.ts';
import { AgentcomError, messageOf } from '../../core/errors/agentcom-error.ts';
import { findConfigFile } from '../config/find-file.ts';
import { readSecretFile } from '../data-dir.ts';
import type { CliEnvironment } from './cli-environment.ts';
import { keepHub, knownHub, type HubPlace } from './state/known-hubs.ts';
import { stateFolder } from './state/state-folder.ts';

export interface ConnectionOptions {
  readonly url?: string | undefined;
  readonly token?: string | undefined;
  readonly config?: string | undefined;
}

interface Token {
  readonly token: string;
  /** Where it was taken from, for the error if a hub does not accept it. */
  readonly tokenFrom: string;
}

/** The hub in the config. `adminToken`: its token, if that is in the config itself; may be undefined if no token was needed. */
interface ConfigHub extends HubPlace {
  readonly file: string;
  readonly adminToken: string | undefined;
}

/**
 * Throws `AC_USAGE` when no address or token can be found, saying how to give one, and `AC_DATA_DIR` when others may read
 * the token's file. The config is read only if needed.
 * `onRetry` is called once if the hub does not answer and the request is retried.
 */
export async function connect(
  options: ConnectionOptions,
  environment: CliEnvironment,
  onRetry: (reason: string) => void,
): Promise<HubClient> {
  let hasNotified = false;
  const notifyOnce = (reason: string): void => {
    if (!hasNotified) onRetry(reason);
    hasNotified = true;
  };
  return hubClient({ ...(await chosenConnection(options, environment)), onRetry: notifyOnce });
}

export interface ChosenConnection extends Token {
  readonly url: string;
  /** Where the address was taken from. */
  readonly urlFrom: string;
  /** How the hub is recognized over HTTPS. */
  readonly tls: HubTrust;
}

/** The address and the token that commands use. Throws like `connect`. */
export async function chosenConnection(options: ConnectionOptions, environment: CliEnvironment): Promise<ChosenConnection> {
  const named = givenUrl(options, environment.env);
  const checked = named === undefined ? undefined : { url: checkedUrl(named.url), urlFrom: named.urlFrom };
  const given = givenToken(options, environment.env);
  const pinned = await pinnedIn(environment.env);
  const tls: HubTrust = pinned === null ? {} : { fingerprints: pinned };
  if (checked !== undefined && given !== undefined) return { ...checked, ...given, tls };
  const hub = await hubConfig(options.config, environment, { url: checked?.url, needsToken: given === undefined });
  const address = checked ?? { url: checkedUrl(urlOf(hub)), urlFrom: `hub.listen of ${hub.file}` };
  const token = given ?? (await tokenFor(address.url, hub));
  return { ...address, ...token, tls: pinned === null ? await trustIn(address.url, hub) : tls };
}

/** On its own machine the hub is recognized by the key in its certificate, which need not be issued for a loopback name. */
async function trustIn(url: string, hub: ConfigHub): Promise<HubTrust> {
  if (hub.certFile === null || !isOfConfig(url, hub)) return {};
  const { fingerprintIn } = await import('../tls/certificate-files.ts');
  return { fingerprints: [await fingerprintIn(hub.certFile)] };
}

/** Loads the module that parses fingerprints only if the variable is set. */
async function pinnedIn(env: CliEnvironment['env']): Promise<readonly string[] | null> {
  if ((env['AGENTCOM_HUB_FINGERPRINT'] ?? '') === '') return null;
  return (await import('../tls/hub-trust.ts')).fingerprintsInEnvironment(env);
}

function isOfConfig(url: string, { host, names }: ConfigHub): boolean {
  const hostname = new URL(url).hostname.replace(/^\[|\]$/g, '');
  return isLoopback(hostname) || hostname === host || names.includes(hostname);
}

/** The address from the command line or the environment; undefined if it has to come from the config. */
export function givenUrl({ url }: ConnectionOptions, env: CliEnvironment['env']): Pick<ChosenConnection, 'url' | 'urlFrom'> | undefined {
  if (url !== undefined) return { url, urlFrom: '--url' };
  const variable = env['AGENTCOM_API_URL'] ?? '';
  return variable === '' ? undefined : { url: variable, urlFrom: 'AGENTCOM_API_URL' };
}

function givenToken({ token }: ConnectionOptions, env: CliEnvironment['env']): Token | undefined {
  if (token !== undefined) return { token, tokenFrom: '--token' };
  const variable = env['AGENTCOM_ADMIN_TOKEN'] ?? '';
  return variable === '' ? undefined : { token: variable, tokenFrom: 'AGENTCOM_ADMIN_TOKEN' };
}

interface Wanted {
  /** The address, if it was given: then only the token is taken from the config. */
  readonly url: string | undefined;
  readonly needsToken: boolean;
}

async function hubConfig(named: string | undefined, environment: CliEnvironment, { url, needsToken }: Wanted): Promise<ConfigHub> {
  const instead = url === undefined ? '--url (or set AGENTCOM_API_URL)' : '--token (or set AGENTCOM_ADMIN_TOKEN)';
  try {
    return await evaluatedHub(findConfigFile(named, environment.cwd), environment, needsToken, instead);
  } catch (thrown) {
    if (AgentcomError.is(thrown, 'AC_CONFIG_NOT_FOUND')) {
      throw new AgentcomError('AC_CONFIG_NOT_FOUND', `${thrown.message} Or pass ${instead}.`, { cause: thrown });
    }
    if (url === undefined || AgentcomError.is(thrown, 'AC_USAGE')) throw thrown;
    // The address was given, so mistakes in the config only explain why there is no token.
    throw new AgentcomError('AC_USAGE', `No token for ${url}. Pass ${instead}. None could be read from the config: ${messageOf(thrown)}`, {
      cause: thrown,
    });
  }
}

async function evaluatedHub(file: string, { env }: CliEnvironment, needsToken: boolean, instead: string): Promise<ConfigHub> {
  const folder = stateFolder(env);
  const known = folder === null ? null : await knownHub(folder, file, env);
  if (known !== null && !(needsToken && known.hasToken)) return { ...known, file, adminToken: undefined };
  const text = await readFile(file, 'utf8');
  const { loadConfigFile } = await import('../config/load.ts');
  const { config, variables } = await loadConfigFile({ configFile: file });
  const { hub } = config;
  if (hub === undefined) throw new AgentcomError('AC_USAGE', `The config ${file} has no hub. Pass ${instead}.`);
  const { host, port, names, dataDir, tls, adminToken } = hub;
  const place: HubPlace = { host, port, names, dataDir, certFile: tls?.certFile ?? null, hasToken: adminToken !== undefined };
  const read = new Map([...variables, ['AGENTCOM_ADMIN_TOKEN', env['AGENTCOM_ADMIN_TOKEN']]]);
  if (folder !== null) await keepHub(folder, file, text, read, place);
  return { ...place, file, adminToken };
}

function urlOf(hub: ConfigHub): string {
  if (hub.port !== 0) return hubUrls({ host: hub.host, port: hub.port, isTls: hub.certFile !== null }).api;
  throw new AgentcomError('AC_USAGE', 'hub.listen.port is 0, so the hub picked a free port, shown in its first line of output. Use --url.');
}

function checkedUrl(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : null;
  if (url !== null && (url.protocol === 'http:' || url.protocol === 'https:') && url.username === '' && url.password === '') {
    return text.replace(/\/+$/, '');
  }
  throw wrongAddress(text);
}

/** The config's token is sent only to the config's own hub. */
async function tokenFor(url: string, hub: ConfigHub): Promise<Token> {
  if (!isOfConfig(url, hub)) {
    throw new AgentcomError(
      'AC_USAGE',
      `No token for ${url}: the config belongs to another hub. Pass --token (or set AGENTCOM_ADMIN_TOKEN).`,
    );
  }
  if (hub.adminToken !== undefined) return { token: hub.adminToken, tokenFrom: `hub.adminToken in ${hub.file}` };
  const file = join(hub.dataDir, 'admin-token');
  const token = await readSecretFile(file);
  if (token !== null) return { token, tokenFrom: file };
  throw new AgentcomError(
    'AC_USAGE',
    `No token: ${file} does not exist. The hub creates it at its first start. Pass --token (or set AGENTCOM_ADMIN_TOKEN).`,
  );
}
