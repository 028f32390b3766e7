/** The sidecar's adapters: its link, its files, and the wake runner from the config. */
import { ContainerModule } from 'inversify';
import { fileJournal } from '../../../adapters/journal-file/file-journal.ts';
import { wsLink } from '../../../adapters/link-ws/ws-link.ts';
import type { HubTrust } from '../../../adapters/kit/trusted-hub.ts';
import { filesResultInbox } from '../../../adapters/results-files/files-result-inbox.ts';
import type { ResolvedSidecarConfig } from '../../../core/config/config.ts';
import { deviceKeyIn } from '../../signing/device-key-file.ts';
import { signaturesFor } from '../../signing/signatures-for.ts';
import { TOKENS } from '../../container-tokens.ts';

export interface AdaptersPlace {
  /** The folder of the config file, which programs and folders of the runner are relative to. */
  readonly baseDir: string;
  /** How the hub is recognized over TLS. */
  readonly trust: HubTrust;
}

export const adaptersModule = (config: ResolvedSidecarConfig, { baseDir, trust }: AdaptersPlace): ContainerModule =>
  new ContainerModule(({ bind }) => {
    const { dataDir, agentId, wake } = config;
    bind(TOKENS.SidecarConfig).toConstantValue(config);
    bind(TOKENS.HubLink)
      .toResolvedValue((log) => wsLink({ log, trust }), [TOKENS.Log])
      .inSingletonScope();
    bind(TOKENS.Journal)
      .toResolvedValue((clock, log) => fileJournal({ dataDir, agentId, clock, log }), [TOKENS.Clock, TOKENS.Log])
      .inSingletonScope();
    bind(TOKENS.ResultInbox)
      .toResolvedValue(
        (clock, log) => filesResultInbox({ dataDir, clock, log, resultStillMs: config.timing.resultStillMs }),
        [TOKENS.Clock, TOKENS.Log],
      )
      .inSingletonScope();
    bind(TOKENS.DeviceKey)
      .toResolvedValue(async () => (config.deviceKey ? deviceKeyIn(dataDir) : null), [])
      .inSingletonScope();
    bind(TOKENS.TaskSignatures)
      .toResolvedValue(async () => signaturesFor(config.accept, dataDir), [])
      .inSingletonScope();
    bind(TOKENS.WakeRunner)
      .toResolvedValue(
        async (clock, log) => (wake === undefined ? null : wake.create({ agentId, baseDir, dataDir, clock, log })),
        [TOKENS.Clock, TOKENS.Log],
      )
      .inSingletonScope();
  });
