/** Writes what a hub would have written, before there is a hub: with the store's own statements, many rows at once. */
import { createHash, randomBytes } from 'node:crypto';
import { systemClock } from '../../../../adapters/clock-system/system-clock.ts';
import { pinoLog } from '../../../../adapters/log-pino/pino-log.ts';
import type { OpenEngine } from '../../../../adapters/storage-knex/engine.ts';
import { agentColumns } from '../../../../adapters/storage-knex/rows/rows.ts';
import { sqliteDriver } from '../../../../adapters/storage-knex/sqlite/driver-choice.ts';
import { sqliteEngine } from '../../../../adapters/storage-knex/sqlite/engine.ts';
import { newAgent } from '../../../../core/domain/agent/agent.ts';
import type { AgentId } from '../../../../core/domain/ids.ts';
import type { TokenRecord } from '../../../../core/ports/agent-store.ts';
import type { ChaosWorld } from '../chaos-world.ts';

/** Agents and tokens per transaction. */
const ENROLLED_AT_ONCE = 500;

/** Opens the store of a world whose hub does not run, and closes it when `work` is done. */
export async function inStore<T>(world: ChaosWorld, work: (engine: OpenEngine) => Promise<T>): Promise<T> {
  const engine = await sqliteEngine({
    driver: await sqliteDriver(),
    file: world.database,
    clock: systemClock(),
    log: pinoLog({ level: 'warn' }),
  }).open();
  try {
    return await work(engine);
  } finally {
    await engine.close();
  }
}

export interface Enrolled {
  readonly agentId: AgentId;
  readonly token: string;
}

/** An agent with its token for each id. */
export async function enrolMany(engine: OpenEngine, agentIds: readonly AgentId[]): Promise<readonly Enrolled[]> {
  const enrolled = agentIds.map((agentId): Enrolled => ({ agentId, token: randomBytes(32).toString('hex') }));
  for (let from = 0; from < enrolled.length; from += ENROLLED_AT_ONCE) {
    const some = enrolled.slice(from, from + ENROLLED_AT_ONCE);
    await engine.write(null, async (transaction) => {
      await transaction.change('insertTokens', some.map(tokenOf));
      await transaction.change(
        'insertAgents',
        some.map(({ agentId }) => agentColumns(newAgent(agentId))),
      );
    });
  }
  return enrolled;
}

const tokenOf = ({ agentId, token }: Enrolled): TokenRecord => ({
  id: `tok-${randomBytes(16).toString('hex')}`,
  name: agentId,
  role: 'agent',
  agentId,
  hash: createHash('sha256').update(token).digest('hex'),
  prefix: token.slice(0, 6),
  capabilities: null,
  maxSlots: null,
  createdAtMs: Date.now(),
  revokedAtMs: null,
  expiresAtMs: null,
  lastUsedAtMs: null,
  replacedBy: null,
  submitsAs: null,
});
