/** `agentcom invite` at the hub and `agentcom join` on a new machine: how an agent comes to a hub. */
import { stat, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import type { Command } from 'commander';
import { isAgentId } from '../../../core/domain/ids.ts';
import { isLoopback } from '../../../core/config/loopback.ts';
import { AgentcomError, messageOf } from '../../../core/errors/agentcom-error.ts';
import { makeDataDir, writeSecretFile } from '../../data-dir.ts';
import { enrolAt } from '../../enrol.ts';
import type { Action, Context } from '../cli-context.ts';
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
    .description('Make a secret with which one machine may join; it is shown once, and good for 15 minutes')
    .action(action(makeSecret));
  program
    .command('join <hub>')
    .description('On a new machine: enrol an agent with the secret in AGENTCOM_ENROL_SECRET, and write the config of its sidecar')
    .requiredOption('--agent <agent>', 'the id it takes')
    .option('--capability <capability>', 'what it says it can; may be given again', collect)
    .option('--dir <dir>', 'where the config is written, and the token beside it (this folder)')
    .option('--insecure', 'send the secret also to an older hub, which proves nothing, over plain http://: whoever answers there gets it')
    .option('--version-1', 'for a sidecar of the original: its config.json instead')
    .action(action(joinHub));
}

async function makeSecret({ output, hub }: Context): Promise<void> {
  const client = await hub();
  const made = await client.enrolment.createSecret();
  output.data(made);
  output.line(made.secret);
  output.note(
    `Good once, until ${new Date(made.expires_at).toISOString()}. On the new machine: AGENTCOM_ENROL_SECRET=… agentcom join ${client.url} --agent NAME`,
  );
}

async function joinHub({ surroundings, output }: Context, options: JoinOptions, hubUrl: string): Promise<void> {
  const { agent: agentId, capability: capabilities = [] } = options;
  const url = checkedHub(hubUrl);
  if (!isAgentId(agentId)) {
    throw new AgentcomError(
      'AC_USAGE',
      `Wanted an agent id of lower case letters, digits, ".", "_" and "-", at most 64, found ${JSON.stringify(agentId)}.`,
    );
  }
  const secret = surroundings.env['AGENTCOM_ENROL_SECRET'] ?? '';
  if (secret === '') {
    throw new AgentcomError(
      'AC_ENROL',
      'There is no secret to enrol with. On the hub\'s machine run "agentcom invite", and set AGENTCOM_ENROL_SECRET here to what it prints.',
    );
  }
  const dir = resolve(surroundings.cwd, options.dir ?? '.');
  const file = join(dir, options.version1 === true ? 'config.json' : 'agentcom.config.ts');
  // The secret is used up by asking: what could keep its answer from being written is looked at before.
  await mustNotBeThere(file);
  const dataDir = join(dir, 'data', agentId);
  if (options.version1 !== true) await makeDataDir(dataDir, 'give another --dir');
  const { token, isProved } = await tokenFrom(url, agentId, secret, options.insecure === true);
  if (!isProved) output.note('The hub is older than this command and proved nothing: it was sent the secret as it is.');
  const ws = `${url.protocol === 'https:' ? 'wss:' : 'ws:'}//${url.host}/ws`;
  if (options.version1 === true) {
    await writeNew(file, version1Config({ agentId, token, ws, api: url.origin, capabilities }), 0o600);
  } else {
    await writeSecretFile(join(dataDir, 'token'), token);
    await writeNew(
      file,
      sidecarConfig({ agentId, ws, capabilities, isPlain: url.protocol === 'http:' && !isLoopback(url.hostname) }),
      0o644,
    );
  }
  output.data({ agent_id: agentId, config: file, hub_ws_url: ws });
  output.line(`${agentId} has joined ${url.origin}; its config is ${file}`);
  output.note(
    options.version1 === true
      ? 'Set wake_command in it and start the sidecar.'
      : 'Set sidecar.wake in it to your agent, and start it with: agentcom sidecar',
  );
}

function checkedHub(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : null;
  if (url !== null && (url.protocol === 'http:' || url.protocol === 'https:')) return url;
  throw new AgentcomError('AC_USAGE', `Wanted the hub's address as http://host:port or https://host, found ${JSON.stringify(text)}.`);
}

async function tokenFrom(url: URL, agentId: string, secret: string, isTrusted: boolean): Promise<{ token: string; isProved: boolean }> {
  const enrolled = await enrolAt(url.origin, { agentId, secret, isTrusted });
  if (enrolled.kind === 'enrolled') return enrolled;
  throw new AgentcomError(
    'AC_ENROL',
    `Wanted a hub that proves that it knows the secret in AGENTCOM_ENROL_SECRET, found one at ${url.origin} that does not. ` +
      (enrolled.kind === 'older'
        ? 'It is older than this command, or no hub. Update it, use https://, or, to send it the secret all the same, say --insecure. '
        : 'Either the secret is wrong, was used, or is over 15 minutes old: on the hub\'s machine run "agentcom invite"; or this is not that hub. ') +
      'The secret was not sent.',
  );
}

async function mustNotBeThere(file: string): Promise<void> {
  const found = await stat(file).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return null;
    throw new AgentcomError('AC_USAGE', `Cannot write ${file}: ${messageOf(error)}.`, { cause: error });
  });
  if (found !== null) throw new AgentcomError('AC_USAGE', `${file} is there already. Move it away, or give another --dir.`);
}

async function writeNew(file: string, text: string, mode: number): Promise<void> {
  await writeFile(file, text, { mode, flag: 'wx' }).catch((error: unknown) => {
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
  isPlain,
}: Joined & { readonly isPlain: boolean }): string => `import { defineConfig } from 'agentcom';

export default defineConfig({
  sidecar: {
    hubs: [${JSON.stringify(ws)}],
    agentId: ${JSON.stringify(agentId)},
    capabilities: ${JSON.stringify(capabilities)},${isPlain ? '\n    insecure: true, // tasks and results cross the network in the clear: rather put a proxy that speaks TLS before the hub' : ''}
    // How the agent is woken, for example: wake: command({ argv: ['node', 'agent.mjs'] }), from 'agentcom/runners'.
    // Without it tasks are put into data/${agentId}/tasks, for an agent that looks there by itself.
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
