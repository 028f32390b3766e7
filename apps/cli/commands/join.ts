/** `agentcom invite` at the hub and `agentcom join` on a new machine. */
import { stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import type { Command } from 'commander';
import { isAgentId } from '../../../core/domain/ids.ts';
import { isLoopback } from '../../../core/config/loopback.ts';
import { AgentcomError, fileReasonOf, messageOf } from '../../../core/errors/agentcom-error.ts';
import { makeDataDir, mustHaveSpace, writeSecretFile } from '../../data-dir.ts';
import { enrolAt, type Enrolling } from '../../enrol.ts';
import { tokenFile } from '../../sidecar/enrolment.ts';
import { fingerprintFile, fingerprintsInEnvironment, hubTrust, isVouchedFor } from '../../tls/hub-trust.ts';
import { joinCode, readJoinCode, type JoinCode } from '../../../core/config/fingerprint.ts';
import { makeFolders } from '../../../adapters/kit/platform-files.ts';
import type { HubTrust } from '../../../adapters/kit/trusted-hub.ts';
import type { CliEnvironment } from '../cli-environment.ts';
import type { Action, Context } from '../cli-context.ts';
import { wrongAddress } from '../../client/api-request.ts';
import { createFile } from '../new-file.ts';
import { collect } from '../parse.ts';

interface JoinOptions {
  readonly agent: string;
  readonly capability?: readonly string[];
  readonly dir?: string;
  readonly version1?: boolean;
  readonly insecure?: boolean;
}

export function addJoin(program: Command, action: Action): void {
  program
    .command('invite')
    .description('Create a single-use code with which one machine can join, valid for 15 minutes')
    .action(action(makeSecret));
  program
    .command('join <hub> [code]')
    .description('Enroll an agent on a new machine with the code from "agentcom invite", and write its sidecar config')
    .requiredOption('--agent <agent>', 'its agent ID')
    .option('--capability <capability>', 'a capability of the agent (repeatable)', collect)
    .option('--dir <dir>', 'where to write the config and the token (default: this folder)')
    .option(
      '--insecure',
      'send the secret over plain http:// even to an older hub that cannot prove itself: whatever answers there gets it',
    )
    .option('--version-1', "write config.json for the original AgentCom's sidecar instead")
    .action(action(joinHub));
}

async function makeSecret({ output, hub }: Context): Promise<void> {
  const client = await hub();
  const made = await client.enrolment.createSecret();
  // An older hub sends neither of these.
  const { fingerprint = null, loopback_only: isLoopbackOnly = false } = made as Partial<typeof made>;
  const code = joinCode({ secret: made.secret, fingerprint });
  output.data({ ...made, code });
  output.line(code);
  const url = new URL(client.url);
  const until = `Valid once, until ${output.times.moment(made.expires_at)} ${output.times.zone}.`;
  if (isLoopbackOnly && isLoopback(url.hostname)) {
    output.note(`${until} On this machine: agentcom join ${baseOf(url)} CODE --agent NAME`);
    output.note(ONLY_HERE);
    return;
  }
  const { address, where } = addressElsewhere(url);
  output.note(`${until} On the new machine: agentcom join ${address} CODE --agent NAME${where}`);
}

const ONLY_HERE =
  'Warning: no other machine can join with this code, since the hub listens on loopback only. Before you invite one, set hub.listen.host and ' +
  'hub.listen.tls; or hub.listen.names for a proxy on this machine (docs/configuration.md, "TLS"). Then start the hub again.';

/** The hub's address for use on another machine, where a loopback address is of no use. */
function addressElsewhere(url: URL): { readonly address: string; readonly where: string } {
  if (!isLoopback(url.hostname)) return { address: baseOf(url), where: '' };
  const port = url.port === '' ? '' : `:${url.port}`;
  const where =
    ', with the name or address of this machine as HOST. If agents reach the hub through a proxy, this is the address of the proxy instead, ' +
    'such as https://hub.example.org; "agentcom invite --url ADDRESS" prints it.';
  return { address: `${url.protocol}//HOST${port}${prefixOf(url)}`, where };
}

/** The path under which a proxy serves the hub; without a proxy, it is empty. */
const prefixOf = (url: URL): string => url.pathname.replace(/\/+$/, '');

const baseOf = (url: URL): string => url.origin + prefixOf(url);

async function joinHub({ environment, output }: Context, options: JoinOptions, hubUrl: string, given: string | undefined): Promise<void> {
  const { agent: agentId, capability: capabilities = [] } = options;
  const url = checkedHub(hubUrl);
  if (!isAgentId(agentId)) {
    throw new AgentcomError(
      'AC_USAGE',
      `Expected an agent ID of lowercase letters, digits, ".", "_" and "-", at most 64, found ${JSON.stringify(agentId)}.`,
    );
  }
  await checkCapabilities(agentId, capabilities);
  const { secret, fingerprint } = codeFrom(given ?? environment.env['AGENTCOM_ENROL_SECRET'] ?? '');
  const byKey = trustFor(url, fingerprint, environment.env);
  const caFile = byKey.fingerprints === undefined ? await neededCaFile(url, environment) : null;
  const tls = caFile === null ? byKey : await hubTrust({ fingerprints: [], caFile }).catch(wrongVariable);
  if (options.version1 === true && tls.fingerprints !== undefined) {
    throw new AgentcomError(
      'AC_USAGE',
      "The original AgentCom's sidecar cannot check a hub's fingerprint. Give the hub a certificate from a CA, or omit --version-1.",
    );
  }
  const dir = resolve(environment.cwd, options.dir ?? '.');
  const file = join(dir, options.version1 === true ? 'config.json' : 'agentcom.config.ts');
  // The request uses up the secret, so check first that its answer can be written.
  await mustNotExist(file);
  const dataDir = join(dir, 'data', agentId);
  if (options.version1 !== true) await makeDataDir(dataDir, 'choose another --dir');
  else await makeFolder(dir);
  await mustHaveSpace(options.version1 === true ? dir : dataDir);
  const { token, isProved } = await tokenFrom(url, { agentId, secret, isTrusted: options.insecure === true, tls });
  if (!isProved) output.note('The hub is older than this command and did not prove itself: the secret was sent in plain text.');
  const ws = `${url.protocol === 'https:' ? 'wss:' : 'ws:'}//${url.host}${prefixOf(url)}/ws`;
  if (options.version1 === true) {
    await writeNew(file, version1Config({ agentId, token, ws, api: baseOf(url), capabilities }), 0o600);
  } else {
    if (tls.fingerprints !== undefined) await writeSecretFile(fingerprintFile({ dataDir }), tls.fingerprints.join('\n'));
    await writeSecretFile(tokenFile({ dataDir }), token);
    await writeNew(
      file,
      sidecarConfig({ agentId, ws, capabilities, caFile, isPlain: url.protocol === 'http:' && !isLoopback(url.hostname) }),
      0o644,
    );
  }
  output.data({ agent_id: agentId, config: file, hub_ws_url: ws });
  output.line(`${agentId} has joined ${baseOf(url)}; its config is ${file}`);
  output.note(
    options.version1 === true
      ? 'Set wake_command in it and start the sidecar.'
      : 'Set sidecar.wake in it for your agent, and start it with: agentcom sidecar',
  );
}

function checkedHub(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : null;
  if (url !== null && (url.protocol === 'http:' || url.protocol === 'https:')) return url;
  throw wrongAddress(text);
}

/** Checks them as the sidecar will check its config. */
async function checkCapabilities(agentId: string, capabilities: readonly string[]): Promise<void> {
  const { resolveConfig } = await import('../../../core/config/resolve.ts');
  const sidecar = { hubs: ['ws://127.0.0.1/ws'], agentId, capabilities };
  const answer = resolveConfig({ sidecar }, { baseDir: '/', absolute: (path) => path });
  if (answer.kind === 'resolved') return;
  const [problem] = answer.problems;
  throw new AgentcomError('AC_USAGE', `--capability: ${problem?.message ?? 'is wrong'}.`);
}

function codeFrom(given: string): JoinCode {
  if (given === '') {
    throw new AgentcomError(
      'AC_USAGE',
      'There is no code to join with. On the hub\'s machine run "agentcom invite", and pass what it prints: agentcom join URL CODE --agent NAME. Or set AGENTCOM_ENROL_SECRET to it.',
    );
  }
  const code = readJoinCode(given);
  if (code !== null) return code;
  throw new AgentcomError('AC_USAGE', 'The code is incomplete or mistyped: pass the whole line that "agentcom invite" prints.');
}

/** AGENTCOM_HUB_FINGERPRINT takes precedence over the code: it was set on purpose. */
function trustFor(url: URL, fingerprint: string | null, env: CliEnvironment['env']): HubTrust {
  const fingerprints = fingerprintsInEnvironment(env) ?? (fingerprint === null ? null : [fingerprint]);
  if (fingerprints === null) return {};
  if (url.protocol === 'https:') return { fingerprints };
  throw new AgentcomError(
    'AC_USAGE',
    `Expected https:// for a hub that is recognized by its fingerprint, found ${JSON.stringify(baseOf(url))}. Pass ${baseOf(url).replace('http:', 'https:')}.`,
  );
}

/**
 * The CA of this shell, which a sidecar that is started elsewhere, such as by a service manager, would not have. Null if the hub needs none,
 * so that the sidecar does not depend on a file that may be for something else.
 */
async function neededCaFile(url: URL, { cwd, env }: CliEnvironment): Promise<string | null> {
  const file = env['NODE_EXTRA_CA_CERTS'] ?? '';
  return url.protocol !== 'https:' || file === '' || (await isVouchedFor(url)) ? null : resolve(cwd, file);
}

/** Throws what is wrong with the file, and which variable names it. */
function wrongVariable(thrown: unknown): never {
  const message = `${messageOf(thrown)} NODE_EXTRA_CA_CERTS names this file: correct the variable, or unset it.`;
  throw new AgentcomError('AC_TLS', message, { cause: thrown });
}

async function tokenFrom(url: URL, enrolling: Enrolling): Promise<{ token: string; isProved: boolean }> {
  const enrolled = await enrolAt(baseOf(url), enrolling).catch((thrown: unknown) => {
    throw unreachableFromHere(url, thrown);
  });
  if (enrolled.kind === 'enrolled') return enrolled;
  throw new AgentcomError(
    'AC_ENROL',
    `The hub at ${baseOf(url)} did not prove that it knows this code. ` +
      (enrolled.kind === 'older'
        ? 'It is older than this command, or not a hub. Update it, use https://, or pass --insecure to send it the code anyway. '
        : 'The code is wrong, used or over 15 minutes old (on the hub\'s machine run "agentcom invite"), or this is not that hub. ') +
      'The code was not sent.',
  );
}

/** OpenSSL's codes for a certificate that no known CA has issued. */
const UNKNOWN_ISSUER = /^(DEPTH_ZERO_|SELF_SIGNED_|UNABLE_TO_)/;

/** Rewords the error for a hub that cannot be reached: here it is on another machine, and its address was an argument. */
function unreachableFromHere(url: URL, thrown: unknown): unknown {
  const reason = AgentcomError.is(thrown, 'AC_API_UNREACHABLE') ? thrown.details?.['reason'] : undefined;
  if (typeof reason !== 'string') return thrown;
  // A terminal selects up to the dot when one clicks twice on the code. With a fingerprint, no issuer is asked for.
  if (UNKNOWN_ISSUER.test(reason)) {
    return new AgentcomError('AC_API_UNREACHABLE', `The certificate of the hub at ${baseOf(url)} is not accepted: ${reason}.`, {
      cause: thrown,
      hint: 'If it is self-signed, pass the whole code that "agentcom invite" prints: after a dot it has the fingerprint of the hub. If its authority is your own, set NODE_EXTRA_CA_CERTS.',
      details: { url: baseOf(url), reason },
    });
  }
  if (!/^E[A-Z_]+$/.test(reason) || reason === 'EPROTO') return thrown;
  return new AgentcomError('AC_API_UNREACHABLE', `The hub at ${baseOf(url)} cannot be reached from this machine: ${reason}.`, {
    cause: thrown,
    hint: 'Check the name and the port, that the hub runs and listens beyond loopback (hub.listen.host), and its firewall.',
    details: { url: baseOf(url), reason },
  });
}

async function makeFolder(folder: string): Promise<void> {
  await makeFolders(folder, 0o777).catch((cause: unknown) => {
    throw new AgentcomError('AC_USAGE', `Cannot write into ${folder}: ${messageOf(cause)}.`, { cause, hint: 'Choose another --dir.' });
  });
}

async function mustNotExist(file: string): Promise<void> {
  const found = await stat(file).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return null;
    throw new AgentcomError('AC_USAGE', `Cannot write ${file}: ${fileReasonOf(error)}.`, { cause: error });
  });
  if (found !== null) throw new AgentcomError('AC_USAGE', `${file} already exists. Move it away, or choose another --dir.`);
}

async function writeNew(file: string, text: string, mode: number): Promise<void> {
  await createFile(file, text, mode).catch((error: unknown) => {
    throw new AgentcomError(
      'AC_USAGE',
      `The agent is enrolled, but ${file} cannot be written: ${messageOf(error)}. Revoke its token and join again.`,
      { cause: error },
    );
  });
}

interface Joined {
  readonly agentId: string;
  readonly ws: string;
  readonly capabilities: readonly string[];
}

const sidecarConfig = ({
  agentId,
  ws,
  capabilities,
  caFile,
  isPlain,
}: Joined & { readonly caFile: string | null; readonly isPlain: boolean }): string => `import { defineConfig } from 'agentcom';

export default defineConfig({
  sidecar: {
    hubs: [${JSON.stringify(ws)}],
    agentId: ${JSON.stringify(agentId)},
    capabilities: ${JSON.stringify(capabilities)},${caFile === null ? '' : `\n    tls: { caFile: ${JSON.stringify(caFile)} }, // from NODE_EXTRA_CA_CERTS`}${isPlain ? '\n    insecure: true, // tasks and results cross the network unencrypted: prefer a TLS proxy in front of the hub' : ''}
    // How the agent is woken, for example: wake: command({ argv: ['node', 'agent.mjs'] }), from 'agentcom/runners'.
    // Without it tasks are put into data/${agentId}/tasks, for an agent that polls.
  },
});
`;

const version1Config = (joined: Joined & { readonly token: string; readonly api: string }): string =>
  `${JSON.stringify(
    {
      agent_id: joined.agentId,
      token: joined.token,
      hub_url: joined.ws,
      hub_api_url: joined.api,
      capabilities: joined.capabilities,
      wake_command: '',
      confirmation_timeout_ms: 30_000,
      results_dir: './results',
      log_file: './sidecar.log',
    },
    null,
    2,
  )}\n`;
