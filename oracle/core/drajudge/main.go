// Command drajudge asks the allocator of kube-scheduler which devices it gives to claims:
//
//	cd oracle/core && go run ./drajudge < ../../tests/scheduler/claims/cases.jsonl > /tmp/cases && mv /tmp/cases ../../tests/scheduler/claims/cases.jsonl
//
// A line holds claims, classes, slices and a node, and what is allocated already: "devices" (driver/pool/device), "shared" (the same, with
// the id of a share) and "capacity" (device → name → quantity). It is answered with "results" or "error". The gates are those that 1.36 has
// by default. Ids of shares, which are random, are left out.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"

	v1 "k8s.io/api/core/v1"
	resourceapi "k8s.io/api/resource/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/dynamic-resource-allocation/cel"
	"k8s.io/dynamic-resource-allocation/structured"
)

type problem struct {
	Name     string                                                     `json:"name"`
	Claims   []*resourceapi.ResourceClaim                               `json:"claims"`
	Classes  []*resourceapi.DeviceClass                                 `json:"classes"`
	Slices   []*resourceapi.ResourceSlice                               `json:"slices"`
	Node     *v1.Node                                                   `json:"node"`
	Devices  []string                                                   `json:"devices,omitempty"`
	Shared   []string                                                   `json:"shared,omitempty"`
	Capacity map[string]map[resourceapi.QualifiedName]resource.Quantity `json:"capacity,omitempty"`
	Results  []resourceapi.AllocationResult                             `json:"results"`
	Error    string                                                     `json:"error,omitempty"`
	OnNode   bool                                                       `json:"onNode,omitempty"`
}

type lister []*resourceapi.DeviceClass

func (l lister) List() ([]*resourceapi.DeviceClass, error) { return l, nil }

func (l lister) Get(name string) (*resourceapi.DeviceClass, error) {
	for _, class := range l {
		if class.Name == name {
			return class, nil
		}
	}
	return nil, fmt.Errorf("deviceclass.resource.k8s.io %q not found", name)
}

func device(id string) structured.DeviceID {
	parts := strings.SplitN(id, "/", 4)
	return structured.MakeDeviceID(parts[0], parts[1], parts[2])
}

func taken(p *problem) structured.AllocatedState {
	state := structured.AllocatedState{
		AllocatedDevices:         sets.New[structured.DeviceID](),
		AllocatedSharedDeviceIDs: sets.New[structured.SharedDeviceID](),
		AggregatedCapacity:       structured.NewConsumedCapacityCollection(),
	}
	for _, id := range p.Devices {
		state.AllocatedDevices.Insert(device(id))
	}
	for _, id := range p.Shared {
		share := types.UID(strings.SplitN(id, "/", 4)[3])
		state.AllocatedSharedDeviceIDs.Insert(structured.MakeSharedDeviceID(device(id), &share))
	}
	for id, amounts := range p.Capacity {
		state.AggregatedCapacity.Insert(structured.NewDeviceConsumedCapacity(device(id), amounts))
	}
	return state
}

func answer(p *problem) {
	p.Results, p.Error, p.OnNode = nil, "", false
	features := structured.Features{
		AdminAccess: true, ConsumableCapacity: true, DeviceBindingAndStatus: true, DeviceTaints: true,
		PartitionableDevices: true, PrioritizedList: true,
	}
	cache := cel.NewCache(10, cel.Features{EnableConsumableCapacity: true})
	allocator, err := structured.NewAllocator(context.Background(), features, taken(p), lister(p.Classes), p.Slices, cache)
	if err == nil {
		p.Results, err = allocator.Allocate(context.Background(), p.Node, p.Claims)
	}
	if err != nil {
		p.Error, p.OnNode = err.Error(), errors.Is(err, structured.ErrFailedAllocationOnNode)
	}
	for _, result := range p.Results {
		for i := range result.Devices.Results {
			if result.Devices.Results[i].ShareID != nil {
				none := types.UID("")
				result.Devices.Results[i].ShareID = &none
			}
		}
	}
}

func main() {
	in := bufio.NewScanner(os.Stdin)
	in.Buffer(nil, 1<<26)
	out := json.NewEncoder(os.Stdout)
	out.SetEscapeHTML(false)
	for in.Scan() {
		p := &problem{}
		if err := json.Unmarshal(in.Bytes(), p); err != nil {
			panic(err)
		}
		answer(p)
		if err := out.Encode(p); err != nil {
			panic(err)
		}
	}
}
