/** The hub and the token that commands use: does a hub answer there, and does it accept the token? */
import { AgentcomError } from '../../../core/errors/agentcom-error.ts';
import { hubClient, type WhoAmIJson } from '../../client/index.ts';
import type { CliEnvironment } from '../cli-environment.ts';
import { chosenConnection, givenUrl, type ChosenConnection, type ConnectionOptions } from '../connect.ts';
import { askHub } from './ask-hub.ts';
import { finding, findingOf, type Finding, type Examined } from './finding.ts';
import { degradedFinding, noHubFinding, versionFinding } from './hub-findings.ts';

export interface CliConnection {
  readonly options: ConnectionOptions;
  readonly environment: CliEnvironment;
}

export interface ExaminedConnection {
  readonly examined: Examined;
  readonly findings: readonly Finding[];
}

/** Null if there is nothing to examine: no address was given, and the hub of the config is not running. */
export async function examineConnection(
  { options, environment }: CliConnection,
  { isHubRunning }: { readonly isHubRunning: boolean },
): Promise<ExaminedConnection | null> {
  const isGiven = givenUrl(options, environment.env) !== undefined;
  if (!isGiven && !isHubRunning) return null;
  const examined = (what: string, ...findings: readonly (Finding | null)[]): ExaminedConnection => ({
    examined: { what: `commands: ${what}`, seen: 'hub, version and token' },
    findings: findings.filter((found) => found !== null),
  });
  let connection: ChosenConnection;
  try {
    connection = await chosenConnection(options, environment);
  } catch (thrown) {
    return examined('no connection', findingOf('cli_token', thrown));
  }
  const { url, urlFrom, tokenFrom, tls } = connection;
  const what = `hub ${url} (${urlFrom}), token from ${tokenFrom}`;
  const answer = await askHub(url, tls);
  if (answer.kind !== 'hub') return examined(what, noHubFinding(answer, { address: url, from: urlFrom, more: {} }));
  const degraded = degradedFinding(answer, url);
  const ofToken = await tokenFinding(connection, degraded !== null);
  // Of a hub in the same config, the rest is reported with that hub.
  return isHubRunning ? examined(what, ofToken) : examined(what, ofToken, degraded, versionFinding(answer.version, url));
}

/** `isDegraded`: the hub may be unable to look the token up. */
async function tokenFinding(connection: ChosenConnection, isDegraded: boolean): Promise<Finding | null> {
  const { url, tokenFrom } = connection;
  const hint =
    tokenFrom === 'AGENTCOM_ADMIN_TOKEN' || tokenFrom === '--token'
      ? `Correct or omit ${tokenFrom}. On the hub's machine: \`agentcom tokens create --name NAME --role admin\`, or use the token in hub.dataDir/admin-token.`
      : `Restart the hub, which reads ${tokenFrom} when it starts.`;
  let who: WhoAmIJson;
  try {
    who = await hubClient({ ...connection, retryWithinMs: 0 }).whoami();
  } catch (thrown) {
    const isRefused = AgentcomError.is(thrown, 'AC_API') && thrown.details?.['status'] === 401;
    if (!isRefused) return isDegraded ? null : findingOf('cannot_check', thrown);
    const why = 'another hub issued it, or it was revoked or has expired';
    return finding('cli_token', `the hub at ${url} does not accept the token from ${tokenFrom}: ${why}`, { hint });
  }
  if (who.role !== 'agent') return null;
  return finding('cli_token', `the token from ${tokenFrom} is that of agent ${who.agent_id}: commands need one of a person or program`, {
    hint,
  });
}
