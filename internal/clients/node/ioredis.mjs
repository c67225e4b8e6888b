// ioredis: pipelines, transactions, publish and subscribe, streams, cursors, and a server that is killed.
import Redis from 'ioredis';
import { ask, assert, gathered, host, port, range, run, test, until } from './harness.mjs';

const connect = (options = {}) => {
  const client = new Redis({ host, port, retryStrategy: () => 20, ...options });
  client.on('error', () => {}); // lost connections are part of the tests; what comes of them is looked at
  return client;
};

test('values and errors', async () => {
  const redis = connect({ db: 3, connectionName: 'a-program' });
  assert.equal(await redis.client('GETNAME'), 'a-program');
  assert.equal(await redis.set('k', 'v', 'PX', 100_000, 'NX'), 'OK');
  assert.equal(await redis.set('k', 'w', 'NX'), null);
  assert.deepEqual(await redis.getBuffer('k'), Buffer.from('v'));
  assert.ok((await redis.pttl('k')) > 90_000);
  const bytes = Buffer.from(range(256));
  await redis.set(bytes, bytes);
  assert.deepEqual(await redis.getBuffer(bytes), bytes);
  await redis.hset('h', { one: 1, two: '2' });
  await redis.hset('h', new Map([['three', 3]]));
  assert.deepEqual(await redis.hgetall('h'), { one: '1', two: '2', three: '3' });
  assert.deepEqual(await redis.mget('k', 'missing'), ['v', null]);
  await assert.rejects(redis.incr('k'), (error) => {
    assert.equal(error.name, 'ReplyError');
    assert.equal(error.message, 'ERR value is not an integer or out of range');
    assert.deepEqual(error.command, { name: 'incr', args: ['k'] });
    return true;
  });
  await assert.rejects(redis.lpush('k', 'x'), { message: /^WRONGTYPE / });
  await assert.rejects(redis.call('NO-SUCH', 'a'), { message: /^ERR unknown command 'NO-SUCH'/ });
  const exact = connect({ stringNumbers: true });
  await exact.set('max', '9223372036854775806');
  assert.equal(await exact.incr('max'), '9223372036854775807');
  const prefixed = connect({ db: 3, keyPrefix: 'h' });
  assert.equal(await prefixed.hget('', 'one'), '1');
  assert.equal(await redis.flushdb(), 'OK');
  for (const client of [redis, exact, prefixed]) await client.quit();
});

test('pipelines', async () => {
  const redis = connect();
  const pipeline = redis.pipeline();
  for (const i of range(10_000)) pipeline.set(`p${i}`, i).get(`p${i}`);
  const replies = await pipeline.exec();
  assert.equal(replies.length, 20_000);
  for (const i of range(10_000)) assert.deepEqual(replies.slice(2 * i, 2 * i + 2), [[null, 'OK'], [null, `${i}`]]);
  const [[error], [, value]] = await redis.pipeline([['hget', 'p1', 'f'], ['get', 'p1']]).exec();
  assert.match(error.message, /^WRONGTYPE/);
  assert.equal(value, '1');
  const auto = connect({ enableAutoPipelining: true });
  const values = await Promise.all(range(5_000).map((i) => auto.get(`p${i}`)));
  assert.deepEqual(values, range(5_000).map(String));
  await auto.quit();
  await redis.quit();
});

test('transactions', async () => {
  const redis = connect();
  const replies = await redis.multi().set('a', 1).incr('a').get('a').exec();
  assert.deepEqual(replies, [[null, 'OK'], [null, 2], [null, '2']]);
  const [[, first], [error], [, last]] = await redis.multi().incr('a').lpush('a', 'x').incr('a').exec();
  assert.deepEqual([first, last], [3, 4]);
  assert.match(error.message, /^WRONGTYPE/);
  await assert.rejects(redis.multi().set('a', 'lost').call('set', 'a').exec(), { message: /^EXECABORT/ });
  assert.equal(await redis.get('a'), '4');

  await redis.multi({ pipeline: false });
  assert.equal(await redis.incr('a'), 'QUEUED');
  assert.equal(await redis.discard(), 'OK');

  // Clients that add to two counters in different shards, each by what it has read.
  const workers = range(6).map(() => connect());
  let conflicts = 0;
  await Promise.all(workers.map(async (client) => {
    for (let done = 0; done < 30; ) {
      await client.watch('one', 'two');
      const [one, two] = await client.mget('one', 'two');
      const result = await client.multi().set('one', Number(one) + 1).set('two', Number(two) + 2).exec();
      if (result === null) conflicts++;
      else done++;
    }
    await client.quit();
  }));
  assert.deepEqual(await redis.mget('one', 'two'), ['180', '360']);
  assert.ok(conflicts > 0, 'nobody was in anybody\'s way');
  await redis.quit();
});

test('publish and subscribe', async () => {
  const [publisher, subscriber] = [connect(), connect()];
  const [channel, pattern, shard] = [gathered(), gathered(), gathered()];
  subscriber.on('message', (name, text) => channel.add(`${name} ${text}`));
  subscriber.on('pmessage', (by, name, text) => pattern.add(`${by} ${name} ${text}`));
  subscriber.on('smessage', (name, text) => shard.add(`${name} ${text}`));
  assert.equal(await subscriber.subscribe('news', 'other'), 2);
  assert.equal(await subscriber.psubscribe('n?ws'), 3);
  assert.equal(await subscriber.ssubscribe('shard'), 1);
  await assert.rejects(subscriber.get('k'), { message: /subscriber mode/ });
  for (const i of range(500)) {
    assert.equal(await publisher.publish('news', i), 2);
    assert.equal(await publisher.spublish('shard', i), 1);
  }
  assert.deepEqual(await channel.next(500), range(500).map((i) => `news ${i}`));
  assert.deepEqual(await pattern.next(500), range(500).map((i) => `n?ws news ${i}`));
  assert.deepEqual(await shard.next(500), range(500).map((i) => `shard ${i}`));
  assert.deepEqual(await publisher.pubsub('NUMSUB', 'news', 'nobody'), ['news', 1, 'nobody', 0]);

  // Who loses the connection subscribes again by itself.
  assert.equal(await publisher.client('KILL', 'TYPE', 'pubsub'), 1);
  await until('it has subscribed again', async () => {
    const [[, news], [, other], [, patterns], [, shards]] = await publisher.pipeline([
      ['pubsub', 'NUMSUB', 'news'], ['pubsub', 'NUMSUB', 'other'], ['pubsub', 'NUMPAT'],
      ['pubsub', 'SHARDNUMSUB', 'shard'],
    ]).exec();
    return news[1] === 1 && other[1] === 1 && patterns === 1 && shards[1] === 1;
  });
  await publisher.publish('other', 'again');
  assert.deepEqual(await channel.next(1), ['other again']);
  await subscriber.unsubscribe('news', 'other');
  await subscriber.punsubscribe('n?ws');
  await subscriber.sunsubscribe('shard');
  assert.equal(await publisher.publish('news', 'x'), 0);
  assert.equal(await subscriber.get('missing'), null); // it takes commands again
  await subscriber.quit();
  await publisher.quit();
});

test('monitor', async () => {
  const redis = connect();
  await redis.ping(); // what the library asks for when it connects is not to be seen
  const monitor = await redis.monitor();
  const seen = gathered();
  monitor.on('monitor', (time, args) => seen.add(args.join(' ')));
  await redis.set('seen', 'by "all"');
  assert.deepEqual(await seen.next(1), ['set seen by "all"']);
  monitor.disconnect();
  await redis.quit();
});

test('blocking', async () => {
  const [redis, waiting] = [connect(), connect()];
  const popped = waiting.blpop('queue:a', 'queue:b', 0);
  await until('it waits', async () => /blocked_clients:1/.test(await redis.info('clients')));
  await redis.rpush('queue:b', 'job');
  assert.deepEqual(await popped, ['queue:b', 'job']);
  assert.equal(await waiting.blpop('queue:a', 0.02), null);
  const moved = waiting.blmove('queue:a', 'queue:c', 'LEFT', 'RIGHT', 0);
  await redis.multi().rpush('queue:a', 'x', 'y').lpop('queue:a').exec();
  assert.equal(await moved, 'y');
  const never = waiting.brpop('queue:a', 0).catch((error) => error.message);
  await until('it waits', async () => /blocked_clients:1/.test(await redis.info('clients')));
  waiting.disconnect();
  assert.match(await never, /Connection is closed/);
  await until('it waits no more', async () => /blocked_clients:0/.test(await redis.info('clients')));
  await redis.rpush('queue:a', 'kept');
  assert.equal(await redis.llen('queue:a'), 1);
  await redis.quit();
});

test('streams', async () => {
  const redis = connect();
  const workers = range(3).map(() => connect());
  await redis.xgroup('CREATE', 'jobs', 'g', '$', 'MKSTREAM');
  const total = 600;
  const done = [];
  const working = workers.map(async (client, i) => {
    while (done.length < total) {
      const reply = await client.xreadgroup('GROUP', 'g', `c${i}`, 'COUNT', 7, 'BLOCK', 50, 'STREAMS', 'jobs', '>');
      for (const [id, [field, value]] of reply?.[0][1] ?? []) {
        assert.equal(field, 'n');
        done.push(Number(value));
        assert.equal(await client.xack('jobs', 'g', id), 1);
      }
    }
    await client.quit();
  });
  const ids = [];
  for (const i of range(total)) ids.push(await redis.xadd('jobs', 'MAXLEN', '~', 10_000, '*', 'n', i));
  await Promise.all(working);
  assert.deepEqual(done.sort((a, b) => a - b), range(total));
  assert.deepEqual(await redis.xpending('jobs', 'g'), [0, null, null, null]);
  assert.equal((await redis.xrange('jobs', '-', '+', 'COUNT', 10))[9][0], ids[9]);
  await redis.xgroup('SETID', 'jobs', 'g', ids[total - 4]);
  await redis.xreadgroup('GROUP', 'g', 'gone', 'STREAMS', 'jobs', '>');
  await redis.xdel('jobs', ids[total - 1]);
  const [next, claimed, deleted] = await redis.xautoclaim('jobs', 'g', 'heir', 0, '0-0', 'COUNT', 10);
  assert.equal(next, '0-0');
  assert.deepEqual(claimed.map(([id]) => id), ids.slice(total - 3, total - 1));
  assert.deepEqual(deleted, [ids[total - 1]]);
  const info = await redis.xinfo('STREAM', 'jobs', 'FULL');
  assert.equal(info[info.indexOf('length') + 1], total - 1);
  await redis.quit();
});

test('cursors', async () => {
  const redis = connect({ db: 4 });
  const pipeline = redis.pipeline();
  for (const i of range(3000)) {
    pipeline.set(`scan:${i}`, i).hset('hash', `f${i}`, i).sadd('set', `m${i}`).zadd('zset', i / 2, `m${i}`);
  }
  await pipeline.exec();
  const all = async (stream) => {
    const seen = [];
    for await (const part of stream) seen.push(...part);
    return seen;
  };
  const keys = await all(redis.scanStream({ match: 'scan:*', count: 100 }));
  assert.equal(new Set(keys).size, 3000);
  assert.deepEqual(await all(redis.scanStream({ type: 'hash' })), ['hash']);
  const fields = await all(redis.hscanStream('hash'));
  assert.equal(new Set(fields.filter((_, i) => i % 2 === 0)).size, 3000);
  assert.equal(new Set(await all(redis.sscanStream('set', { match: 'm1*' }))).size, 1111);
  const scores = await all(redis.zscanStream('zset', { count: 50 }));
  assert.equal(scores[scores.indexOf('m7') + 1], '3.5');
  await redis.flushdb();
  await redis.quit();
});

test('scripts', async () => {
  const redis = connect({
    scripts: {
      take: {
        numberOfKeys: 1,
        lua: `local left = tonumber(redis.call('GET', KEYS[1]) or '0') - ARGV[1]
          if left < 0 then return redis.error_reply('SOLD OUT') end
          redis.call('SET', KEYS[1], left)
          return {left, tostring(left / 3), ARGV[2] and cjson.encode({id = ARGV[2], left = left}) or false}`,
      },
    },
  });
  redis.defineCommand('sumOf', {
    lua: 'local n = 0 for _, v in ipairs(redis.call("MGET", unpack(KEYS))) do n = n + (v or 0) end return n',
    readOnly: true,
  });
  await redis.set('stock', 100);
  assert.deepEqual(await redis.take('stock', 1), [99, '33', null]);
  const [left, third, json] = await redis.take('stock', 1, 'me');
  assert.deepEqual([left, third, JSON.parse(json)], [98, '32.666666666667', { id: 'me', left: 98 }]);
  await assert.rejects(redis.take('stock', 99), { message: 'SOLD OUT' });
  await redis.script('FLUSH'); // the library sends what is not there any more
  assert.deepEqual((await redis.pipeline().take('stock', 8).takeBuffer('stock', 10, 'x').exec()).map(([e]) => e), [null, null]);
  assert.deepEqual(await redis.multi().take('stock', 10).sumOf(2, 'stock', 'none').exec(), [
    [null, [70, '23.333333333333', null]], [null, 70],
  ]);
  const buyers = range(8).map(() => connect());
  for (const buyer of buyers) buyer.defineCommand('take', { numberOfKeys: 1, lua: redis.options.scripts.take.lua });
  const bought = await Promise.all(buyers.flatMap((buyer) => range(20).map(() => buyer.take('stock', 1).catch(() => null))));
  assert.equal(bought.filter((reply) => reply !== null).length, 70);
  assert.equal(await redis.get('stock'), '0');
  for (const client of [redis, ...buyers]) await client.quit();
});

test('a killed server', async () => {
  const [redis, subscriber] = [connect({ maxRetriesPerRequest: null }), connect()];
  const news = gathered();
  subscriber.on('message', (name, text) => news.add(text));
  await subscriber.subscribe('news');
  const popped = connect({ maxRetriesPerRequest: null }).blpop('later', 0); // sent again on the next connection
  await until('it waits', async () => /blocked_clients:1/.test(await redis.info('clients')));

  // Numbers are added all the time. Those that were acknowledged are there afterwards, in order.
  let going = true;
  const acknowledged = [];
  const adding = (async () => {
    const plain = connect({ autoResendUnfulfilledCommands: false, maxRetriesPerRequest: 0 });
    for (let i = 0; going; i++) {
      try {
        await plain.multi().rpush('numbers', i).incr('count').exec();
        acknowledged.push(String(i));
      } catch {
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
    }
    plain.disconnect();
  })();
  for (const how of ['kill', 'restart', 'kill']) {
    const before = acknowledged.length;
    await until('some are added', () => acknowledged.length > before + 50);
    await ask(how);
    await until('it goes on', () => acknowledged.length > before + 100);
  }
  going = false;
  await adding;
  const [numbers, count] = [await redis.lrange('numbers', 0, -1), Number(await redis.get('count'))];
  assert.equal(count, numbers.length);
  const there = new Set(numbers);
  assert.equal(there.size, numbers.length);
  assert.deepEqual(acknowledged.filter((n) => !there.has(n)), []);

  await until('it has subscribed again', async () => (await redis.publish('news', 'back')) === 1);
  assert.deepEqual(await news.next(1), ['back']);
  await redis.rpush('later', 'at last');
  assert.deepEqual(await popped, ['later', 'at last']);
});

await run();
