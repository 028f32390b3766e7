/** `agentcom agents`, `push`, `tokens`, `whoami` and `schemas`. */
import type { Command } from 'commander';
import { Option } from 'commander';
import { ROLES } from '../../../core/ports/agent-store.ts';
import type { AgentJson, HubClient, TokenJson } from '../../client/index.ts';
import { AgentcomError } from '../../../core/errors/agentcom-error.ts';
import type { Action, Context } from '../cli-context.ts';
import { reasonOf, seenText } from '../output/agent-text.ts';
import type { Column } from '../output/text-table.ts';
import { age, duration, type Times } from '../output/time-text.ts';
import { everyItem, liveTokensOf } from '../live-tokens.ts';
import { isLast } from '../task-names.ts';
import { collect, parseDuration, parseJsonObject, parseWhole } from '../parse.ts';

interface TokenOptions {
  readonly agent?: string;
  readonly name?: string;
  readonly role?: Exclude<(typeof ROLES)[number], 'agent'>;
  readonly capability?: readonly string[];
  readonly maxSlots?: number;
  readonly expires?: number;
}

export function addAgents(program: Command, action: Action): void {
  program.command('agents [agent]').description('List the agents, or show one').action(action(agents));
  program
    .command('push <agent> <description>')
    .description('Send a connected agent an urgent task that only it may run')
    .option('-m, --metadata <json>', 'a JSON object for the agent', parseJsonObject)
    .action(action(push));
  program.command('whoami').description('Show the name and role of the token').action(action(whoami));
  program.command('schemas').description('Print the JSON Schemas of all bodies, queries and frames').action(action(schemas));
  const tokens = program.command('tokens').description('Create, list, rotate and revoke tokens');
  tokens
    .command('create')
    .description('Create a token for an agent, or for a person or program with a role; it is shown once')
    .option('--agent <agent>', 'for this agent')
    .option('--name <name>', 'for a person or program of this name')
    .addOption(new Option('--role <role>', 'what the person or program may do').choices(ROLES.filter((role) => role !== 'agent')))
    .option('--capability <capability>', 'restrict the agent to this capability (repeatable)', collect)
    .option('--max-slots <count>', 'limit the tasks it may run at once', parseWhole)
    .option('--expires <duration>', 'expire the token after this time, such as 12h or 30d (default: never)', parseDuration)
    .action(action(createToken));
  tokens.command('list').description('List the tokens, whether they are live, and when each was last used').action(action(listTokens));
  tokens
    .command('rotate <token-or-agent>')
    .description(
      'Replace a token, or the only live one of an agent, with a new one, which is shown once; the old one expires after a while',
    )
    .option('--overlap <duration>', 'how long the old token still works, such as 0, 30m or 7d (default: 1h)', parseOverlap)
    .action(action(rotateToken));
  tokens
    .command('revoke <token-or-agent>')
    .description('Revoke a token, or all tokens of an agent, and close their connections')
    .action(action(revokeToken));
}

const AGENT_COLUMNS: readonly Column<AgentJson>[] = [
  { title: 'AGENT', cell: (agent) => agent.agent_id },
  { title: 'STATUS', cell: (agent) => agent.status },
  { title: 'SLOTS', cell: (agent) => `${agent.tasks.length}/${agent.slots}` },
  { title: 'SEEN', cell: (agent) => seenText(agent, Date.now()) },
  { title: 'TASK', cell: (agent) => agent.current_task ?? '-' },
  { title: 'CAPABILITIES', cell: (agent) => agent.capabilities.join(','), charactersMax: 40 },
  { title: 'REASON', cell: reasonOf },
];

async function agents({ output, hub }: Context, _options: object, agentId: string | undefined): Promise<void> {
  const client = await hub();
  if (agentId === undefined) {
    const all = await everyItem(
      (query) => client.agents.list(query),
      ({ agents }) => agents,
    );
    output.data({ agents: all, next_cursor: null });
    output.table(AGENT_COLUMNS, all);
    return;
  }
  const agent = await client.agents.get(agentId);
  output.data(agent);
  const { showAgent } = await import('../output/agent-page.ts');
  showAgent(output, agent, Date.now());
}

async function push(
  context: Context,
  options: { readonly metadata?: Record<string, unknown> },
  agentId: string,
  description: string,
): Promise<void> {
  const { output } = context;
  const hub = await context.hub();
  const answer = await hub.tasks.push({ agent_id: agentId, description, metadata: options.metadata });
  context.environment.onMade?.(answer.task_id);
  await isLast(context, hub, answer.task_id);
  output.data(answer);
  output.line(`${answer.task_id} ${answer.status} to ${answer.agent_id}`);
}

async function createToken({ output, hub, environment }: Context, options: TokenOptions): Promise<void> {
  if ((options.agent === undefined) === (options.name === undefined) || (options.name === undefined) !== (options.role === undefined)) {
    throw new AgentcomError('AC_USAGE', 'Expected --agent AGENT, or --name NAME and --role ROLE.');
  }
  const token = await (
    await hub()
  ).tokens.create({
    agent_id: options.agent,
    name: options.name,
    role: options.role,
    capabilities: options.capability,
    max_slots: options.maxSlots,
    expires_in_ms: options.expires,
  });
  environment.onMade?.(token.id);
  output.data(token);
  output.line(token.token ?? '');
  output.note(`${token.id} (${token.role}). The token is not shown again.`);
}

async function rotateToken({ output, hub, environment }: Context, options: { readonly overlap?: number }, name: string): Promise<void> {
  const client = await hub();
  const id = name.startsWith(TOKEN_ID_BEGINNING) ? name : await tokenOf(client, name);
  const token = await client.tokens.rotate(id, { overlap_ms: options.overlap });
  environment.onMade?.(token.id);
  output.data(token);
  output.line(token.token);
  const leftMs = (token.rotated.expires_at ?? 0) - Date.now();
  const old = leftMs > 0 ? `${id} still works for ${duration(leftMs)}` : `${id} no longer works`;
  output.note(`${token.id} (${token.role}). The token is not shown again. ${old}.`);
}

const TOKEN_ID_BEGINNING = 'tok-';

/** The ID of the only token of this agent that can be rotated. */
async function tokenOf(client: HubClient, agentId: string): Promise<string> {
  const live = (await liveTokensOf(client, agentId)).filter(({ replaced_by: replacedBy }) => typeof replacedBy !== 'string');
  const [only, ...others] = live;
  if (only !== undefined && others.length === 0) return only.id;
  const found = only === undefined ? 'no live token; create one with `agentcom tokens create`' : live.map(({ id }) => id).join(' and ');
  throw new AgentcomError(
    'AC_USAGE',
    `Expected the ID of a token, or an agent with exactly one live token. Agent ${JSON.stringify(agentId)} has ${found}.`,
  );
}

/** A duration, or 0. */
const parseOverlap = (text: string): number => (/^0+(ms|s|m|h|d)?$/.test(text.trim()) ? 0 : parseDuration(text));

/** Whom it is for; with the ID under which it submits, if that is not its own. */
function tokenFor({ id, role, agent_id: agentId, name, submits_as: submitsAs }: TokenJson): string {
  // Older hubs do not send all of these.
  const who = String((agentId as string | null | undefined) ?? (name as string | undefined) ?? '-');
  const submits = role !== 'agent' && role !== 'viewer' && submitsAs !== undefined && submitsAs !== id;
  return !submits ? who : `${who} (submits as ${submitsAs})`;
}

/** `live`, `live, expires in 3d`, `rotated, expires in 1h`, `revoked 5m ago` or `expired 2d ago`. */
function tokenState({ revoked_at: revokedAtMs, expires_at: expiresAtMs, replaced_by: replacedBy }: TokenJson, nowMs: number): string {
  if (typeof revokedAtMs === 'number') return `revoked ${duration(Math.max(0, nowMs - revokedAtMs))} ago`;
  if (typeof expiresAtMs !== 'number') return 'live';
  const left = duration(Math.abs(expiresAtMs - nowMs));
  return expiresAtMs <= nowMs ? `expired ${left} ago` : `${typeof replacedBy === 'string' ? 'rotated' : 'live'}, expires in ${left}`;
}

const tokenColumns = ({ moment, zone }: Times): readonly Column<TokenJson>[] => [
  { title: 'ID', cell: (token) => token.id },
  { title: 'ROLE', cell: (token) => token.role },
  { title: 'FOR', cell: tokenFor },
  { title: 'STATE', cell: (token) => tokenState(token, Date.now()) },
  { title: 'LAST USED', cell: (token) => age(token.last_used_at, Date.now()) },
  { title: 'PREFIX', cell: (token) => String(token['prefix'] ?? '-') },
  { title: `CREATED (${zone})`, cell: (token) => moment(typeof token['created_at'] === 'number' ? token['created_at'] : null) },
];

async function listTokens({ output, hub }: Context): Promise<void> {
  const client = await hub();
  const all = await everyItem(
    (query) => client.tokens.list(query),
    ({ tokens }) => tokens,
  );
  output.data({ tokens: all, next_cursor: null });
  output.table(tokenColumns(output.times), all);
}

async function revokeToken({ output, hub }: Context, _options: object, id: string): Promise<void> {
  const answer = await (await hub()).tokens.revoke(id);
  output.data(answer);
  output.line(`${id} revoked`);
}

async function whoami({ output, hub }: Context): Promise<void> {
  const answer = await (await hub()).whoami();
  output.data(answer);
  const agent = answer.agent_id === null ? '' : ` ${answer.agent_id}`;
  const isNamed = answer.name !== undefined && answer.name !== answer.id;
  output.line(`${answer.role}${agent}, token ${isNamed ? `${answer.name} (${answer.id})` : answer.id}`);
}

/** Prints JSON in both output modes. */
async function schemas({ output, hub }: Context): Promise<void> {
  const answer = await (await hub()).schemas();
  output.data(answer);
  output.block(JSON.stringify(answer, null, 2));
}
