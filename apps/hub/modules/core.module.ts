/** The use cases: queue, sessions, sweeper. */
import { ContainerModule } from 'inversify';
import { rulesOf, type HubContext } from '../../../core/application/hub/context.ts';
import { hubClock } from '../../../core/application/hub/hub-clock.ts';
import { Lookout } from '../../../core/application/hub/lookout.ts';
import { Roster } from '../../../core/application/hub/roster.ts';
import { HubSessions } from '../../../core/application/hub/sessions/hub-sessions.ts';
import { Throttle } from '../../../core/application/hub/sessions/throttle.ts';
import { Silence } from '../../../core/application/hub/silence.ts';
import { Sweeper } from '../../../core/application/hub/sweeper.ts';
import { TaskQueue } from '../../../core/application/hub/task-queue.ts';
import { TokenUse } from '../../../core/application/hub/token-use.ts';
import { TOKENS } from '../../tokens.ts';
import { hubWiring } from '../wiring.ts';

export const coreModule = (): ContainerModule =>
  new ContainerModule(({ bind }) => {
    bind(TOKENS.HubWiring).toResolvedValue(hubWiring).inSingletonScope();
    bind(TOKENS.HubClock)
      .toResolvedValue((machine, storage) => hubClock(machine, storage.tasks), [TOKENS.Clock, TOKENS.Storage])
      .inSingletonScope();
    bind(TOKENS.HubContext)
      .toResolvedValue(
        (config, ids, digest, log, wiring): HubContext => ({
          hubId: ids.random('hub'),
          rules: rulesOf(config.timing, config.limits),
          timing: config.timing,
          limits: config.limits,
          log,
          digest,
          silence: new Silence(),
          isHere: (agentId, session) => wiring.isHere(agentId, session),
          heardAtMs: (agentId) => wiring.heardAtMs(agentId),
        }),
        [TOKENS.HubConfig, TOKENS.Ids, TOKENS.Digest, TOKENS.Log, TOKENS.HubWiring],
      )
      .inSingletonScope();
    bind(TOKENS.Roster)
      .toResolvedValue((context) => new Roster(context.hubId), [TOKENS.HubContext])
      .inSingletonScope();
    bind(TOKENS.TaskQueue)
      .toResolvedValue(
        (storage, clock, ids, roster, context, wiring) =>
          new TaskQueue({
            store: storage.tasks,
            clock,
            ids,
            roster,
            context,
            deliver: (outgoing) => wiring.deliver(outgoing),
            committed: ({ events, dueAtMs, look }) => {
              wiring.expectDue(dueAtMs);
              wiring.tell(look);
              if (events.length > 0) for (const listener of wiring.commitListeners) listener();
            },
            storageFailed: (lastedMs, isOver) => wiring.storageFailed(lastedMs, isOver),
            judging: (nowMs) => wiring.judging(nowMs),
          }),
        [TOKENS.Storage, TOKENS.HubClock, TOKENS.Ids, TOKENS.Roster, TOKENS.HubContext, TOKENS.HubWiring],
      )
      .inSingletonScope();
    bind(TOKENS.Sweeper)
      .toResolvedValue(
        (clock, inbox, context, wiring, storage) => {
          const sweeper = new Sweeper({
            clock,
            inbox,
            context,
            nextDueAtMs: () => storage.tasks.nextDueAtMs(),
            lastUsedMs: () => storage.tasks.lastUsedMs(),
          });
          wiring.expectDue = (dueAtMs) => sweeper.expectDue(dueAtMs);
          wiring.storageFailed = (lastedMs, isOver) => sweeper.storageFailed(lastedMs, isOver);
          wiring.judging = (nowMs) => sweeper.judging(nowMs);
          return sweeper;
        },
        [TOKENS.HubClock, TOKENS.TaskQueue, TOKENS.HubContext, TOKENS.HubWiring, TOKENS.Storage],
      )
      .inSingletonScope();
    bind(TOKENS.TokenUse)
      .toResolvedValue(
        (storage, clock, log) => new TokenUse({ agents: storage.agents, clock, log }),
        [TOKENS.Storage, TOKENS.HubClock, TOKENS.Log],
      )
      .inSingletonScope();
    bind(TOKENS.HubSessions)
      .toResolvedValue(
        (config, inbox, storage, clock, ids, digest, log, context, roster, wiring, tokenUse) => {
          const sessions = new HubSessions({
            inbox,
            agents: storage.agents,
            clock,
            ids,
            digest,
            log,
            context,
            roster,
            storeId: () => wiring.storeId,
            throttle: new Throttle(config.limits.invalidFrames),
            tokenUse,
            agentMessages: config.agentMessages,
            trustedProxies: config.trustedProxies,
          });
          wiring.deliver = (outgoing) => sessions.deliver(outgoing);
          wiring.isHere = (agentId, session) => sessions.isHere(agentId, session);
          wiring.heardAtMs = (agentId) => sessions.lastHeardAtMs(agentId);
          return sessions;
        },
        [
          TOKENS.HubConfig,
          TOKENS.TaskQueue,
          TOKENS.Storage,
          TOKENS.HubClock,
          TOKENS.Ids,
          TOKENS.Digest,
          TOKENS.Log,
          TOKENS.HubContext,
          TOKENS.Roster,
          TOKENS.HubWiring,
          TOKENS.TokenUse,
        ],
      )
      .inSingletonScope();
    bind(TOKENS.Lookout)
      .toResolvedValue(
        (clock, inbox, context, storage, sessions, wiring) => {
          const newEvents = (): void => wiring.commitListeners.forEach((listener) => listener());
          const lookout = new Lookout({ clock, inbox, context, calls: storage.calls, sessions, newEvents });
          wiring.tell = (look) => lookout.tell(look);
          return lookout;
        },
        [TOKENS.HubClock, TOKENS.TaskQueue, TOKENS.HubContext, TOKENS.Storage, TOKENS.HubSessions, TOKENS.HubWiring],
      )
      .inSingletonScope();
  });
