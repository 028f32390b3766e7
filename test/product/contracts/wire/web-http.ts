/** Converts the port's requests and replies from and to web `Request` and `Response`, which tests use. */
import type { ByteStream, HttpHandler, HttpRequest, HttpResponse } from '../../../../core/ports/http.ts';

/** Calls a handler as if the request had come over a wire. */
export async function askHandler(handle: HttpHandler, request: Request, remoteAddress = '127.0.0.1'): Promise<Response> {
  const { body, ...head } = await handle(portRequest(request, remoteAddress));
  if (request.method !== 'HEAD') return webResponse({ ...head, body });
  if (typeof body !== 'string') body?.cancel();
  return webResponse({ ...head, body: null });
}

function portRequest(request: Request, remoteAddress: string): HttpRequest {
  const { method, headers, url } = request;
  const { pathname, search } = new URL(url);
  const reader = (request.body as ReadableStream<Uint8Array> | null)?.getReader();
  let isCancelled = false;
  const stream: ByteStream = {
    next: async () => (await reader?.read())?.value ?? null,
    cancel() {
      isCancelled = true;
      reader?.cancel().catch(() => 'the reader gets this error');
    },
  };
  const whole = async (): Promise<Uint8Array> => {
    const chunks = await chunksOf(stream);
    if (isCancelled) throw new Error('the read was cancelled');
    return Buffer.concat(chunks);
  };
  return {
    method,
    path: pathname,
    query: search.slice(1),
    remoteAddress,
    header: (name) => headers.get(name) ?? undefined,
    body: reader === undefined ? null : { ...stream, whole },
  };
}

function webResponse({ status, headers, body }: HttpResponse): Response {
  if (body === null || typeof body === 'string') return new Response(body, { status, headers });
  const stream = new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        const chunk = await body.next();
        if (chunk === null) controller.close();
        else controller.enqueue(chunk);
      },
      cancel: () => body.cancel(),
    },
    { highWaterMark: 0 },
  );
  return new Response(stream, { status, headers });
}

/** A whole stream. */
export async function chunksOf(stream: ByteStream): Promise<readonly Uint8Array[]> {
  const chunks: Uint8Array[] = [];
  for (let chunk = await stream.next(); chunk !== null; chunk = await stream.next()) chunks.push(chunk);
  return chunks;
}

/** A request's whole body as text. */
export const textOf = async ({ body }: HttpRequest): Promise<string> => (body === null ? '' : Buffer.from(await body.whole()).toString());

/** A short reply. */
export const reply = (body: string | ByteStream | null, status = 200, headers: HttpResponse['headers'] = {}): HttpResponse => ({
  status,
  headers,
  body,
});

/** A stream of one chunk, which then waits until it is cancelled. */
export function silentStream({ onOpen, onCancel }: { readonly onOpen?: () => void; readonly onCancel: () => void }): ByteStream {
  let isBegun = false;
  let give: (chunk: null) => void = () => undefined;
  return {
    next() {
      if (isBegun) return new Promise((resolve) => (give = resolve));
      isBegun = true;
      onOpen?.();
      return Promise.resolve(Buffer.from('first'));
    },
    cancel() {
      give(null);
      onCancel();
    },
  };
}
