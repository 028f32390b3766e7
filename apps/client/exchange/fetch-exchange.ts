/** HTTP over `fetch`, in a browser. */
import { ANSWER_BYTES_MAX, reasonOf, tooLong, type Exchange, type HttpAnswer, type HttpQuestion, type StopSignal } from '../platform.ts';

/** A browser does not let a page see why a connection failed, or whether the hub got the request. */
const NETWORK_ERROR = 'ENETWORK';
const NETWORK_CAUSES =
  'the browser does not say why. Either nothing listens there, or the origin of this page is not in hub.listen.origins';

export const fetchExchange: Exchange = async (base, question) => {
  const { method, path, headers, body, signal } = question;
  if (signal.aborted) throw signal.reason as Error;
  const init = { method, headers, signal: abortSignal(signal), redirect: 'manual', cache: 'no-store', credentials: 'omit' } as const;
  try {
    return answerOf(await fetch(base.origin + path, body === undefined ? init : { ...init, body }), question);
  } catch (thrown) {
    throw failure(signal, thrown);
  }
};

function abortSignal(signal: StopSignal): AbortSignal {
  if (signal instanceof AbortSignal) return signal;
  const controller = new AbortController();
  signal.addEventListener('abort', () => controller.abort(signal.reason));
  return controller.signal;
}

function answerOf(response: Response, question: HttpQuestion): HttpAnswer {
  const { signal } = question;
  async function* bytes(): AsyncGenerator<Uint8Array, void> {
    // Not every browser can iterate a stream.
    const reader = response.body?.getReader();
    if (reader === undefined) return;
    try {
      for (let step = await reader.read(); !step.done; step = await reader.read()) yield step.value;
    } catch (thrown) {
      throw failure(signal, thrown);
    } finally {
      // After a failure there is nothing left to cancel.
      await Promise.allSettled([reader.cancel()]);
    }
  }
  return {
    status: response.status,
    // Browsers hide from pages the status of a redirect and where it leads.
    statusText:
      response.type === 'opaqueredirect' ? "it redirects. Use the address it redirects to if it is your hub's." : response.statusText,
    header: (name) => response.headers.get(name),
    bytes,
    async text() {
      const decoder = new TextDecoder();
      let [text, length] = ['', 0];
      for await (const chunk of bytes()) {
        length += chunk.length;
        if (length > ANSWER_BYTES_MAX) throw tooLong(question, response.status);
        text += decoder.decode(chunk, { stream: true });
      }
      return text + decoder.decode();
    },
  };
}

function failure(signal: StopSignal, thrown: unknown): Error {
  const reason = reasonOf(signal, thrown);
  return signal.aborted ? reason : Object.assign(new Error(NETWORK_CAUSES, { cause: reason }), { code: NETWORK_ERROR });
}
