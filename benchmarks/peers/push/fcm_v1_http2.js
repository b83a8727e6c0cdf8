// `node fcm_v1_http2.js FOLDER URL COUNT CONNECTIONS STREAMS`: the package as it is, led to the stub; its access token is given.
const [folder, url, count, connections, streams] = process.argv.slice(2);
const http2 = require('http2');
const connect = http2.connect;
http2.connect = (_, options) => connect(url, options);
const { google } = require(`${folder}/node_modules/googleapis`);
google.auth.JWT.prototype.authorize = (done) => done(null, { access_token: 'ya29.bench' });
const FCM = require(`${folder}/node_modules/fcm-v1-http2`);
const { version } = require(`${folder}/node_modules/fcm-v1-http2/package.json`);

const tag = '0190b3a4-7c1d-7e4f-8a2b-3c4d5e6f7081';
const message = {
    notification: { title: '15 % off', body: 'You are next door: come in.' },
    data: { decision: tag, coupon: tag, store: '1', candlemaker_message: tag },
    android: { ttl: '86399s', priority: 'HIGH', notification: { tag } },
    apns: { headers: { 'apns-collapse-id': tag, 'apns-expiration': '1900000000' } },
    webpush: { headers: { TTL: '86399' }, notification: { tag } },
};
const registration = (n) => `d${String(n).padStart(10, '0')}:APA91b${'kF3-Jx_9'.repeat(16)}`;
const tokens = Array.from({ length: Number(count) }, (_, n) => registration(n));
const client = new FCM({
    serviceAccount: { project_id: 'p', client_email: 'e', private_key: 'k' },
    maxConcurrentConnections: Number(connections),
    maxConcurrentStreamsAllowed: Number(streams),
});

(async () => {
    await client.sendMulticast(message, tokens.slice(0, 1));
    const began = process.hrtime.bigint(), spent = process.cpuUsage();
    const dead = await client.sendMulticast(message, tokens);
    const cpu = process.cpuUsage(spent), wall = Number(process.hrtime.bigint() - began) / 1e9;
    if (dead.length) throw new Error('some were refused');
    console.log(JSON.stringify({ sent: Number(count), cpu_s: (cpu.user + cpu.system) / 1e6, wall_s: wall, version }));
    process.exit(0);
})();
