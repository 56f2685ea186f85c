/** One POST to a receiver, ready but for what needs a clock or a key. */
export interface ChannelRequest {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | Uint8Array;
  /** HTTP basic authentication, when the receiver wants it. */
  readonly credentials?: { readonly user: string; readonly password: string };
}
