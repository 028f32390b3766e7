/** What the machine provides: time, randomness, digests, a log. */
import { ContainerModule } from 'inversify';
import { systemClock } from '../../adapters/clock-system/system-clock.ts';
import { systemDigest } from '../../adapters/ids-system/system-digest.ts';
import { systemIds } from '../../adapters/ids-system/system-ids.ts';
import type { Log } from '../../core/ports/log.ts';
import { TOKENS } from '../container-tokens.ts';

export const machineModule = (log: Log): ContainerModule =>
  new ContainerModule(({ bind }) => {
    bind(TOKENS.Clock).toResolvedValue(systemClock).inSingletonScope();
    bind(TOKENS.Ids)
      .toResolvedValue((clock) => systemIds({ clock }), [TOKENS.Clock])
      .inSingletonScope();
    bind(TOKENS.Digest).toResolvedValue(systemDigest).inSingletonScope();
    bind(TOKENS.Log).toConstantValue(log);
  });
