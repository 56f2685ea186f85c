/** Takes event messages from the queue. Until it is written, every message goes back to the queue. */
export async function consumeEvents(batch: MessageBatch, _env: Env, _ctx: ExecutionContext): Promise<void> {
  batch.retryAll();
}
