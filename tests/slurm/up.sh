#!/usr/bin/env bash
# A one-node Slurm with accounting, from Debian's packages, without systemd or cgroups (22.05).
#   tests/slurm/up.sh          install, configure and start it: about 20 s; needs root
#   tests/slurm/up.sh stop     stop its daemons
# Exit code 77: it cannot be had here, for the reason that is printed.
set -euo pipefail
host=$(hostname)
state=/var/lib/slurm
daemons="/run/slurmd.pid /run/slurmctld.pid /run/slurmdbd.pid /run/mysqld/mysqld.pid
  /run/munge/munged.pid"

skip() { echo "no Slurm: $1"; exit 77; }

# Wait for the command to succeed, half a minute at most.
await() { for _ in $(seq 60); do "$@" >/dev/null 2>&1 && return; sleep 0.5; done; "$@"; }

running() { [ -f "$1" ] && kill -0 "$(cat "$1" 2>/dev/null)" 2>/dev/null; }

stop() {
  scancel --user="$(id -un)" 2>/dev/null || true
  for file in $daemons; do
    if running "$file"; then
      kill "$(cat "$file")"
      for _ in $(seq 40); do running "$file" || break; sleep 0.25; done
    fi
  done
}

[ "$(id -u)" = 0 ] || skip "only root can install and start it"
if [ "${1:-}" = stop ]; then stop; exit; fi
installed() { for name in "$@"; do command -v "$name" >/dev/null || return 1; done; }
if ! installed sbatch slurmctld slurmd slurmdbd munged mysqld_safe; then
  command -v apt-get >/dev/null || skip "it is installed with apt-get, which is not here"
  export DEBIAN_FRONTEND=noninteractive
  packages="slurm-wlm slurmctld slurmd slurmdbd munge mariadb-server"
  # shellcheck disable=SC2086
  { apt-get -qq update && apt-get -qq install -y --no-install-recommends $packages; } \
    >/tmp/slurm-install.log 2>&1 || skip "apt-get failed, see /tmp/slurm-install.log"
fi
running /run/slurmctld.pid && skip "a Slurm runs on this machine already"

# cred_expire: a requeued job starts again only after so many seconds, 120 by default.
cat >/etc/slurm/slurm.conf <<END
ClusterName=toy
SlurmctldHost=$host(127.0.0.1)
SlurmUser=slurm
AuthType=auth/munge
AuthInfo=cred_expire=5
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=127.0.0.1
ReturnToService=2
SlurmctldPidFile=/run/slurmctld.pid
SlurmdPidFile=/run/slurmd.pid
SlurmctldLogFile=/var/log/slurm/slurmctld.log
SlurmdLogFile=/var/log/slurm/slurmd.log
StateSaveLocation=$state/slurmctld
SlurmdSpoolDir=$state/slurmd
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=2,bf_interval=2
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
KillWait=5
JobRequeue=1
NodeName=$host NodeAddr=127.0.0.1 CPUs=2 RealMemory=8000 State=UNKNOWN
PartitionName=debug Nodes=$host Default=YES MaxTime=INFINITE State=UP PriorityTier=1 PreemptMode=REQUEUE
PartitionName=high Nodes=$host MaxTime=INFINITE State=UP PriorityTier=10 PreemptMode=OFF
END
cat >/etc/slurm/slurmdbd.conf <<END
AuthType=auth/munge
DbdHost=$host
DbdAddr=127.0.0.1
SlurmUser=slurm
StorageType=accounting_storage/mysql
StorageHost=localhost
StorageUser=slurm
StoragePass=of-this-test-only
StorageLoc=slurm_acct_db
LogFile=/var/log/slurm/slurmdbd.log
PidFile=/run/slurmdbd.pid
END
chown slurm: /etc/slurm/slurmdbd.conf
chmod 600 /etc/slurm/slurmdbd.conf

mkdir -p /run/munge /run/mysqld "$state/slurmctld" "$state/slurmd" /var/log/slurm
rm -rf "${state:?}"/slurmctld/* "${state:?}"/slurmd/* # jobs of an earlier test
chown munge: /run/munge
chown mysql: /run/mysqld
chown -R slurm: "$state/slurmctld" /var/log/slurm
touch /run/slurmdbd.pid /run/slurmctld.pid
chown slurm: /run/slurmdbd.pid /run/slurmctld.pid # they start as root and write as slurm
running /run/munge/munged.pid || runuser -u munge -- munged
[ -d /var/lib/mysql/mysql ] || mysql_install_db --user=mysql >/dev/null
running /run/mysqld/mysqld.pid || (mysqld_safe --skip-networking --pid-file=/run/mysqld/mysqld.pid >/dev/null 2>&1 &)
await mysqladmin ping
mysql -e "create user if not exists slurm@localhost identified by 'of-this-test-only';
  alter user slurm@localhost identified by 'of-this-test-only';
  grant all on slurm_acct_db.* to slurm@localhost"
slurmdbd
await sacctmgr -n list cluster
sacctmgr -n list cluster format=cluster | grep -q toy || sacctmgr -i add cluster toy >/dev/null
slurmctld
slurmd
idle() { sinfo -h -o %t | grep -q idle; }
await idle
sinfo
