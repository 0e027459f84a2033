#!/usr/bin/env bash
# A real Slurm on this machine, for the tests: a node with two fake GPUs, and `second`, which is in the partition `both` and alone in those of
# preemption; with accounts. Needs root on Debian or Ubuntu.
#
#   cluster.sh install        the packages, where they are missing
#   cluster.sh start FOLDER   munged, MariaDB, slurmdbd, slurmctld and a slurmd for each node, with everything they write below FOLDER
#   cluster.sh stop FOLDER    end exactly these, by their pids
#
# The one thing outside FOLDER are links in /etc/slurm: jobs of Snakemake lose SLURM_CONF on their way and look there.
set -euo pipefail

PACKAGES=(slurm-wlm slurmdbd mariadb-server-core munge)
LINKED=(slurm.conf slurmdbd.conf gres.conf)
USERS=root,games # the second is one that every Debian has, for jobs that are not root's
CPUS=8 MEMORY=16000 GPUS=2 GPU_TYPE=fake # more than the machine has: a node may say what it likes (config_overrides)

refuse() {
    echo "error: $*" >&2
    exit 1
}

install() {
    local missing=()
    for package in "${PACKAGES[@]}"; do
        dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' || missing+=("$package")
    done
    ((${#missing[@]})) || return 0
    ((EUID == 0)) || refuse "a Slurm for the tests needs the packages ${missing[*]}, and root to install and start them."
    command -v apt-get >/dev/null || refuse "a Slurm for the tests needs the packages ${missing[*]}; there is no apt-get here."
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}"
}

start() {
    ((EUID == 0)) || refuse "a Slurm for the tests can be started by root only."
    command -v slurmctld slurmd slurmdbd mariadbd munged >/dev/null || refuse "Slurm is not all installed: tests/slurm/cluster.sh install"
    # A link is what a killed test run left behind; a file is a Slurm that this machine belongs to.
    local link=/etc/slurm/slurm.conf name
    [[ ! -e $link || -L $link ]] || refuse "$link: this machine has a Slurm of its own."
    [[ ! -L $link ]] || stop "$(dirname "$(readlink "$link")")"
    configure
    mkdir -p /etc/slurm
    for name in "${LINKED[@]}"; do
        ln -sf "$FOLDER/$name" "/etc/slurm/$name"
    done
    trap give_up EXIT
    munged --force --key-file="$FOLDER/munge.key" --socket="$FOLDER/munge.socket" --pid-file="$FOLDER/munged.pid" \
        --seed-file="$FOLDER/munge.seed" --log-file="$FOLDER/munged.log"
    database
    slurmdbd
    wait_for sacctmgr --immediate add cluster tests
    slurmctld
    slurmd -N "$(hostname -s)"
    slurmd -N second
    wait_for are_idle
    accounts >/dev/null
    trap - EXIT
}

give_up() {
    tail -n 20 "$FOLDER"/*.log >&2
    stop "$FOLDER"
    refuse "Slurm did not come up; what its daemons said is above."
}

# Whoever reaches the port may do everything: what is known of users is left aside.
database() {
    local tables=/usr/share/mysql/mysql_system_tables.sql
    local mariadbd=(mariadbd --no-defaults --user=root --datadir="$FOLDER/database" --innodb-flush-method=nosync --sync-frm=0)
    mkdir "$FOLDER/database"
    { printf '%s\n' "CREATE DATABASE mysql;" "USE mysql;" && cat $tables; } | "${mariadbd[@]}" --bootstrap >"$FOLDER/mariadbd.log" 2>&1
    setsid "${mariadbd[@]}" --skip-grant-tables --bind-address=127.0.0.1 --port=16820 --socket="$FOLDER/mariadb.socket" \
        --pid-file="$FOLDER/mariadbd.pid" </dev/null >>"$FOLDER/mariadbd.log" 2>&1 &
    wait_for grep --quiet "ready for connections" "$FOLDER/mariadbd.log"
}

accounts() {
    sacctmgr --immediate add account lab
    sacctmgr --immediate add qos one-gpu MaxTRESPerUser=gres/gpu=1
    sacctmgr --immediate add qos small-jobs MaxTRESPerJob=gres/gpu=1 Flags=DenyOnLimit
    sacctmgr --immediate add user "$USERS" DefaultAccount=lab QOS=normal,one-gpu,small-jobs
}

are_idle() {
    [[ $(timeout 5 sinfo --noheader --format=%T | sort -u) == idle ]]
}

wait_for() {
    for ((SECONDS = 0; SECONDS < 20; )); do
        ! "$@" >/dev/null 2>&1 || return 0
        sleep 0.1
    done
    return 1
}

configure() {
    mkdir -p "$FOLDER/state"
    chmod 755 "$FOLDER"
    (umask 077 && head -c 1024 /dev/urandom >"$FOLDER/munge.key")
    local node
    node=$(hostname -s)
    (umask 077 && cat >"$FOLDER/slurmdbd.conf") <<CONF
AuthType=auth/munge
AuthInfo=socket=$FOLDER/munge.socket
DbdHost=localhost
DbdAddr=127.0.0.1
DbdPort=16821
SlurmUser=root
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort=16820
StorageUser=root
PidFile=$FOLDER/slurmdbd.pid
LogFile=$FOLDER/slurmdbd.log
CONF
    # cred_expire is what a requeued job waits for before it starts again, 120 seconds otherwise.
    cat >"$FOLDER/slurm.conf" <<CONF
ClusterName=tests
SlurmctldHost=$node(127.0.0.1)
SlurmctldPort=16817
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=$FOLDER/munge.socket,cred_expire=5
StateSaveLocation=$FOLDER/state
SlurmdSpoolDir=$FOLDER/spool-%n
SlurmctldPidFile=$FOLDER/slurmctld.pid
SlurmdPidFile=$FOLDER/slurmd-%n.pid
SlurmctldLogFile=$FOLDER/slurmctld.log
SlurmdLogFile=$FOLDER/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=127.0.0.1
AccountingStoragePort=16821
AccountingStoragePass=$FOLDER/munge.socket
AccountingStorageTRES=gres/gpu
AccountingStorageEnforce=associations,limits,qos
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
SlurmdParameters=config_overrides
MpiDefault=none
SchedulerType=sched/backfill
SchedulerParameters=bf_interval=2,sched_min_interval=500000,batch_sched_delay=0
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
GresTypes=gpu
ReturnToService=2
KillWait=15
MinJobAge=3600
NodeName=$node NodeHostname=$node NodeAddr=127.0.0.1 Port=16818 Weight=9 CPUs=$CPUS Boards=1 SocketsPerBoard=1 CoresPerSocket=$CPUS ThreadsPerCore=1 RealMemory=$MEMORY Gres=gpu:$GPU_TYPE:$GPUS State=UNKNOWN
NodeName=second NodeHostname=$node NodeAddr=127.0.0.1 Port=16819 CPUs=2 Boards=1 SocketsPerBoard=1 CoresPerSocket=2 ThreadsPerCore=1 RealMemory=4000 State=UNKNOWN
PartitionName=all Nodes=$node Default=YES PreemptMode=OFF MaxTime=60 State=UP
PartitionName=both Nodes=$node,second PreemptMode=OFF MaxTime=60 State=UP
PartitionName=requeued Nodes=second PreemptMode=REQUEUE MaxTime=60 State=UP
PartitionName=cancelled Nodes=second PreemptMode=CANCEL MaxTime=60 State=UP
PartitionName=urgent Nodes=second PreemptMode=OFF PriorityTier=2 MaxTime=60 State=UP
CONF
    # Slurm asks for a character device of its own for each GPU; of major number 240, "for local use", there is no driver.
    echo "AutoDetect=off" >"$FOLDER/gres.conf"
    for ((gpu = 0; gpu < GPUS; gpu++)); do
        mknod "$FOLDER/gpu$gpu" c 240 "$gpu"
        echo "NodeName=$node Name=gpu Type=$GPU_TYPE File=$FOLDER/gpu$gpu" >>"$FOLDER/gres.conf"
    done
}

stop() {
    local folder=$1 file daemon pid name
    for file in "$folder"/{slurmd-*,slurmctld,slurmdbd,mariadbd,munged}.pid; do
        pid=$(cat "$file" 2>/dev/null) || continue
        daemon=$(basename "$file" .pid)
        daemon=${daemon%%-*}
        # A pid may have passed to another program since.
        [[ $(cat "/proc/$pid/comm" 2>/dev/null) == "$daemon" ]] || continue
        kill "$pid"
        for ((tries = 0; tries < 100; tries++)); do
            kill -0 "$pid" 2>/dev/null || break
            sleep 0.1
        done
        ! kill -0 "$pid" 2>/dev/null || kill -9 "$pid"
    done
    for name in "${LINKED[@]}"; do
        [[ $(readlink "/etc/slurm/$name") != "$folder/$name" ]] || rm "/etc/slurm/$name"
    done
}

FOLDER=${2:-}
case ${1:-}${FOLDER:+ FOLDER} in
    install) install ;;
    "start FOLDER") start ;;
    "stop FOLDER") stop "$FOLDER" ;;
    *)
        sed -n '2,10p' "$0"
        exit 2
        ;;
esac
