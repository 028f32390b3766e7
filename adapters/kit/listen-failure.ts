/** The error for a failed `listen`, the same for every transport. */
import { AgentcomError, messageOf } from '../../core/errors/agentcom-error.ts';

/** `thrown`: the error of the system. Its `code` distinguishes a port in use from all other reasons. */
export function listenFailure(thrown: unknown, { host, port }: { readonly host: string; readonly port: number }): AgentcomError {
  const address = `${host}:${port}`;
  const code = thrown instanceof Error && 'code' in thrown ? thrown.code : undefined;
  if (code === 'EADDRINUSE') {
    const message = `Cannot listen on ${address}: another process uses this port.`;
    const hint = 'Stop it, or set another hub.listen.port (0 picks a free one).';
    return new AgentcomError('AC_PORT_BUSY', message, { cause: thrown, hint, details: { address } });
  }
  const message = `Cannot listen on ${address}: ${messageOf(thrown)}.`;
  const hint = 'Set hub.listen.host to an address of this machine and hub.listen.port to a port that it may use.';
  return new AgentcomError('AC_LISTEN', message, { cause: thrown, hint, details: { address } });
}
