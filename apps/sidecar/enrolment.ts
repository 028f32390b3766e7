/** How a sidecar gets its token: from the config, AGENTCOM_TOKEN or its data directory, or else by enrolling. */
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import type { ResolvedSidecarConfig } from '../../core/config/config.ts';
import { AgentcomError, messageOf } from '../../core/errors/agentcom-error.ts';
import type { Log } from '../../core/ports/log.ts';
import type { HubTrust } from '../../adapters/kit/trusted-hub.ts';
import { readJoinCode, type JoinCode } from '../../core/config/fingerprint.ts';
import { mustHaveSpace, readSecretFile, writeSecretFile } from '../data-dir.ts';
import { fingerprintFile, sidecarTrust, type OwnHub } from '../tls/hub-trust.ts';
import { enrolAt } from '../enrol.ts';

/** Attempts with a refused secret: another sidecar may have used it, and the hub then writes a new one. */
const REFUSED_TRIES_MAX = 10;
const AGAIN_FIRST_MS = 200;
const AGAIN_MAX_MS = 10_000;

export interface EnrolmentDeps {
  readonly config: ResolvedSidecarConfig;
  /** The hub in the same config, with its enrollment secret in its data directory; null without one. */
  readonly hub: OwnHub | null;
  readonly log: Log;
  /** Ends the wait for a hub that is not up yet. */
  readonly signal: AbortSignal;
}

/** What a sidecar connects with. */
export interface SidecarIdentity {
  readonly token: string;
  /** Reads the token file again, which may be replaced while the sidecar runs; null: the token is from the config or a variable. */
  readonly readToken: (() => Promise<string | null>) | null;
  readonly trust: HubTrust;
}

/**
 * The sidecar's token, and how it recognizes its hub. Waits for a hub that is not up yet. Fails with `AC_ENROL` when there is no secret to
 * enroll with or the identity is taken, and says what to do.
 */
export async function sidecarIdentity(deps: EnrolmentDeps): Promise<SidecarIdentity> {
  const { config } = deps;
  const known = await knownToken(config, process.env);
  const file = tokenFile(config);
  const readToken = (): Promise<string | null> => readSecretFile(file);
  if (known !== null)
    return {
      token: known.token,
      readToken: known.from === 'file' ? readToken : null,
      trust: await sidecarTrust(config, process.env, { hub: deps.hub }),
    };
  const code = givenCode();
  const trust = await sidecarTrust(config, process.env, { code, hub: deps.hub });
  await mustHaveSpace(config.dataDir);
  const token = await enrol(deps, code, trust);
  if (code !== null && code.fingerprint !== null) await writeSecretFile(fingerprintFile(config), code.fingerprint);
  await writeSecretFile(file, token);
  deps.log.info('enrolled with the hub', { agent_id: config.agentId, token_file: file });
  return { token, readToken, trust };
}

export interface KnownToken {
  readonly token: string;
  readonly from: 'config' | 'variable' | 'file';
}

/** The token of a sidecar that need not enroll; null if it must. Fails with `AC_DATA_DIR` if others can read the token's file. */
export async function knownToken(
  config: ResolvedSidecarConfig,
  env: Readonly<Record<string, string | undefined>>,
): Promise<KnownToken | null> {
  if (config.token !== undefined) return { token: config.token, from: 'config' };
  const variable = env['AGENTCOM_TOKEN'] ?? '';
  if (variable !== '') return { token: variable, from: 'variable' };
  const token = await readSecretFile(tokenFile(config));
  return token === null ? null : { token, from: 'file' };
}

/** Where an enrolled sidecar keeps its token. */
export const tokenFile = ({ dataDir }: Pick<ResolvedSidecarConfig, 'dataDir'>): string => join(dataDir, 'token');

type Outcome =
  { readonly kind: 'enrolled'; readonly token: string } | { readonly kind: 'again'; readonly refused: boolean; readonly because: string };

async function enrol(deps: EnrolmentDeps, code: JoinCode | null, trust: HubTrust): Promise<string> {
  const { hubs } = deps.config;
  let refusals = 0;
  let tries = 0;
  let hasWarned = false;
  for (let waitMs = AGAIN_FIRST_MS; ; waitMs = Math.min(waitMs * 2, AGAIN_MAX_MS)) {
    const hub = hubs[tries % hubs.length] ?? '';
    tries += 1;
    const outcome = await tryToEnrol(deps, hub, code, trust);
    if (outcome.kind === 'enrolled') return outcome.token;
    if (outcome.refused) refusals += 1;
    if (refusals >= REFUSED_TRIES_MAX) {
      throw new AgentcomError(
        'AC_ENROL',
        `Agent "${deps.config.agentId}" could not enroll: ${outcome.because}. ${howToGetAToken(deps.config.agentId)}`,
      );
    }
    if (!hasWarned) deps.log.warn('not enrolled yet; retrying until a hub answers', { because: outcome.because, hub });
    hasWarned = true;
    await wait(waitMs, undefined, { signal: deps.signal });
  }
}

async function tryToEnrol(deps: EnrolmentDeps, hubUrl: string, code: JoinCode | null, tls: HubTrust): Promise<Outcome> {
  const { config } = deps;
  const secret = code?.secret ?? (await secretOfHub(deps));
  if (secret === null)
    return { kind: 'again', refused: false, because: `the hub has not written its enrollment secret to ${deps.hub?.dataDir ?? ''} yet` };
  try {
    const enrolled = await enrolAt(apiUrlOf(hubUrl), { agentId: config.agentId, secret, isTrusted: config.plainToken, tls });
    if (enrolled.kind !== 'enrolled') return notProved(enrolled.kind, hubUrl, code);
    if (!enrolled.isProved) {
      deps.log.warn('the hub is older than this sidecar and did not prove itself: the enrollment secret was sent in plain text', {
        hub: hubUrl,
      });
    }
    return enrolled;
  } catch (error) {
    if (AgentcomError.is(error, 'AC_ENROL')) throw error;
    if (AgentcomError.is(error, 'AC_API') && error.details?.['status'] === 409) {
      const used = code === null ? '' : '. The secret in AGENTCOM_ENROL_SECRET is used up: get a new one with "agentcom invite"';
      const message = `The hub already has agent "${config.agentId}", and its token is not in ${config.dataDir}. Choose another agentId, or run on the hub's machine: agentcom tokens revoke ${config.agentId}${used}`;
      throw new AgentcomError('AC_ENROL', message, { cause: error });
    }
    if (code !== null && AgentcomError.is(error, 'AC_API') && error.details?.['error'] === 'invalid_secret') {
      const message = `The hub at ${hubUrl} refuses the secret in AGENTCOM_ENROL_SECRET: it is wrong, used or over 15 minutes old. On the hub's machine run "agentcom invite" and set it to what that prints.`;
      throw new AgentcomError('AC_ENROL', message, { cause: error });
    }
    const isRefused = AgentcomError.is(error, 'AC_API') || AgentcomError.is(error, 'AC_HUB_FINGERPRINT');
    return { kind: 'again', refused: isRefused, because: messageOf(error) };
  }
}

/** The secret was not sent. One that was set by hand does not become right by waiting. */
function notProved(kind: 'not_proved' | 'older', hubUrl: string, code: JoinCode | null): Outcome {
  if (kind === 'older') {
    const because = `the hub at ${hubUrl} does not prove that it knows the enrollment secret: it is older than this sidecar, or not a hub. Update it, use wss://, or set sidecar.plainToken: true to send it the secret anyway. The secret was not sent`;
    return { kind: 'again', refused: true, because };
  }
  const found = `expected a hub that proves that it knows the enrollment secret, found one at ${hubUrl} that does not`;
  if (code === null) return { kind: 'again', refused: true, because: `${found}; the secret was not sent` };
  throw new AgentcomError(
    'AC_ENROL',
    `Cannot enroll: ${found}. The secret in AGENTCOM_ENROL_SECRET is wrong, used or over 15 minutes old (on the hub's machine run ` +
      '"agentcom invite" and set it to what that prints), or this address is not that hub (check sidecar.hubs). The secret was not sent.',
  );
}

async function secretOfHub({ hub, config }: EnrolmentDeps): Promise<string | null> {
  if (hub === null)
    throw new AgentcomError('AC_ENROL', `The sidecar has no token and no secret to enroll with. ${howToGetAToken(config.agentId)}`);
  return readSecretFile(join(hub.dataDir, 'enrol-secret'));
}

/** Set by hand, so nothing replaces it, unlike the secret in the hub's own file. Null without one. */
function givenCode(): JoinCode | null {
  const given = process.env['AGENTCOM_ENROL_SECRET'] ?? '';
  if (given === '') return null;
  const code = readJoinCode(given);
  if (code !== null) return code;
  throw new AgentcomError(
    'AC_ENROL',
    'AGENTCOM_ENROL_SECRET is incomplete or mistyped: set it to the whole line that "agentcom invite" prints.',
  );
}

export const howToGetAToken = (agentId: string): string =>
  `On the hub's machine run "agentcom tokens create --agent ${agentId}" and set AGENTCOM_TOKEN here, or "agentcom invite" and set AGENTCOM_ENROL_SECRET here to what it prints.`;

/** `ws://host:port/ws` → `http://host:port`, `wss://host/prefix/ws` → `https://host/prefix`. */
export function apiUrlOf(hubUrl: string): string {
  const url = new URL(hubUrl);
  const prefix = url.pathname.replace(/\/+$/, '').replace(/\/ws$/, '');
  return `${url.protocol === 'wss:' ? 'https:' : 'http:'}//${url.host}${prefix}`;
}
