/** Chooses the hub and the token of a command: from options, then the environment, then the config. */
import { join } from 'node:path';
import { hubClient, type HubClient } from '../client/index.ts';
import { hubUrls } from '../hub/urls.ts';
import type { ResolvedHubConfig } from '../../core/config/config.ts';
import { isLoopback } from '../../core/config/loopback.ts';
import { AgentcomError } from '../../core/errors/agentcom-error.ts';
import { readSecretFile } from '../data-dir.ts';
import type { CliEnvironment } from './cli-environment.ts';

export interface ConnectionOptions {
  readonly url?: string | undefined;
  readonly token?: string | undefined;
  readonly config?: string | undefined;
}

/**
 * Throws `AC_USAGE` when no address or token can be found, saying how to give one, and `AC_DATA_DIR` when others may read
 * the token's file. The config is read only if needed.
 * `onRetry` is called once if the hub does not answer and the request is retried.
 */
export async function connect(
  options: ConnectionOptions,
  { env, cwd }: CliEnvironment,
  onRetry: (reason: string) => void,
): Promise<HubClient> {
  let hasNotified = false;
  const notifyOnce = (reason: string): void => {
    if (!hasNotified) onRetry(reason);
    hasNotified = true;
  };
  const givenUrl = options.url ?? (env['AGENTCOM_API_URL'] || undefined);
  const givenToken = options.token ?? (env['AGENTCOM_ADMIN_TOKEN'] || undefined);
  if (givenUrl !== undefined && givenToken !== undefined) {
    return hubClient({ url: checkedUrl(givenUrl), token: givenToken, onRetry: notifyOnce });
  }
  const instead = givenUrl === undefined ? '--url or AGENTCOM_API_URL' : '--token or AGENTCOM_ADMIN_TOKEN';
  const hub = await hubConfig(options.config, cwd, instead);
  const url = checkedUrl(givenUrl ?? urlOf(hub));
  return hubClient({ url, token: givenToken ?? (await tokenFor(url, hub)), onRetry: notifyOnce });
}

async function hubConfig(configFile: string | undefined, cwd: string, instead: string): Promise<ResolvedHubConfig> {
  const { loadConfigFile } = await import('../config/load.ts');
  const { file, config } = await loadConfigFile({ configFile, cwd }).catch((thrown: unknown) => {
    if (!AgentcomError.is(thrown, 'AC_CONFIG_NOT_FOUND')) throw thrown;
    throw new AgentcomError('AC_CONFIG_NOT_FOUND', `${thrown.message} Or use ${instead}.`, { cause: thrown });
  });
  if (config.hub === undefined) throw new AgentcomError('AC_USAGE', `The config ${file} has no hub. Use ${instead}.`);
  return config.hub;
}

function urlOf(hub: ResolvedHubConfig): string {
  if (hub.port !== 0) return hubUrls(hub.host, hub.port).api;
  throw new AgentcomError('AC_USAGE', 'hub.listen.port is 0, so the hub picked a free port, shown in its first line of output. Use --url.');
}

function checkedUrl(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : null;
  if (url !== null && (url.protocol === 'http:' || url.protocol === 'https:') && url.username === '' && url.password === '') {
    return text.replace(/\/+$/, '');
  }
  throw new AgentcomError('AC_USAGE', `Wanted the hub's address as http://host:port or https://host, found ${JSON.stringify(text)}.`);
}

/** The config's token is sent only to the config's own hub. */
async function tokenFor(url: string, hub: ResolvedHubConfig): Promise<string> {
  const hostname = new URL(url).hostname.replace(/^\[|\]$/g, '');
  if (!isLoopback(hostname) && hostname !== hub.host && !hub.names.includes(hostname)) {
    throw new AgentcomError('AC_USAGE', `No token for ${url}: the config belongs to another hub. Use --token or AGENTCOM_ADMIN_TOKEN.`);
  }
  if (hub.adminToken !== undefined) return hub.adminToken;
  const file = join(hub.dataDir, 'admin-token');
  const token = await readSecretFile(file);
  if (token !== null) return token;
  throw new AgentcomError(
    'AC_USAGE',
    `No token: ${file} does not exist. The hub creates it at its first start. Use --token or AGENTCOM_ADMIN_TOKEN.`,
  );
}
