/** The sidecar itself, over its ports. */
import { ContainerModule } from 'inversify';
import { createSidecar } from '../../../core/application/sidecar/sidecar.ts';
import { TOKENS } from '../../container-tokens.ts';

export interface TokenSource {
  readonly token: string;
  /** See `SidecarPorts.readToken`. */
  readonly readToken: (() => Promise<string | null>) | undefined;
}

/** `secrets`: redacted from everything the agent prints. */
export const coreModule = ({ token, readToken }: TokenSource, secrets: readonly string[]): ContainerModule =>
  new ContainerModule(({ bind }) => {
    bind(TOKENS.SidecarToken).toConstantValue(token);
    bind(TOKENS.Sidecar)
      .toResolvedValue(
        (config, token, link, journal, results, signatures, deviceKey, runner, clock, ids, digest, log) =>
          createSidecar({
            config: { ...config, token, secrets },
            readToken,
            link,
            journal,
            results,
            signatures: signatures ?? undefined,
            deviceKey: deviceKey ?? undefined,
            runner: runner ?? undefined,
            clock,
            ids,
            digest,
            log,
            stopController: () => new AbortController(),
          }),
        [
          TOKENS.SidecarConfig,
          TOKENS.SidecarToken,
          TOKENS.HubLink,
          TOKENS.Journal,
          TOKENS.ResultInbox,
          TOKENS.TaskSignatures,
          TOKENS.DeviceKey,
          TOKENS.WakeRunner,
          TOKENS.Clock,
          TOKENS.Ids,
          TOKENS.Digest,
          TOKENS.Log,
        ],
      )
      .inSingletonScope();
  });
